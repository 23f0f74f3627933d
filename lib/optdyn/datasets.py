r"""Data sets of the cycles chapter: few distinct points, whole numbers, with multiplicities.

All are absorbed data z = y x in whole numbers, so that a certificate is about them exactly. They
and the tables of cycles are this book's own; that such data exist is a theorem of Meng et al.
(arXiv 2406.05033 and 2507.11228). The O-ring temperatures are Dalal et al.'s.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optdyn import arguments


class Points(NamedTuple):
    """Distinct points, shape (k,) or (k, d), and how often each occurs, shape (k,).

    >>> Points(np.array([1, -1]), np.array([3, 1])).multiplicities.sum()
    np.int64(4)
    """

    z: NDArray[Any]
    multiplicities: NDArray[np.int64]


def _whole(**values: int) -> list[int]:
    return [arguments.count(name, value) for name, value in values.items()]


def outlier(m_plus: int, m_minus: int, size: int) -> Points:
    """On the line: +1 m_plus times, -1 m_minus times, and +size once.

    Args: m_plus, m_minus: multiplicities; size: of the outlier; whole numbers from 1.
    Returns: Points of shape (3,).
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/cycles.

    >>> outlier(2, 1, 10)
    Points(z=array([ 1, -1, 10]), multiplicities=array([2, 1, 1]))
    """
    m_plus, m_minus, size = _whole(m_plus=m_plus, m_minus=m_minus, size=size)
    return Points(np.array([1, -1, size]), np.array([m_plus, m_minus, 1]))


def walls(size: int, margin: int, m_plus: int, m_minus: int) -> Points:
    """In the plane: (+-size, margin) once each, (0, 1) m_plus times, (0, -1) m_minus times.

    Args: size, margin: coordinates of the two outliers; m_plus, m_minus: multiplicities; from 1.
    Returns: Points of shape (4, 2).
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/cycles.

    >>> walls(20, 4, 15, 4).z.tolist()
    [[20, 4], [-20, 4], [0, 1], [0, -1]]
    """
    size, margin = _whole(size=size, margin=margin)
    m_plus, m_minus = _whole(m_plus=m_plus, m_minus=m_minus)
    rows = [(size, margin), (-size, margin), (0, 1), (0, -1)]
    return Points(np.array(rows), np.array([1, 1, m_plus, m_minus]))


def intercept(n_positive: int, left: int, right: int) -> Points:
    """One feature and an intercept: n_positive positives, one negative, at x = 0 but for two.

    The features of two of the positives are x = -left and x = right.

    Args: n_positive: at least 3; left, right: whole numbers from 1.
    Returns: Points of shape (4, 2), rows y (x, 1).
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/cycles.

    >>> intercept(37, 10, 12).multiplicities.tolist()
    [1, 1, 35, 1]
    """
    left, right = _whole(left=left, right=right)
    n_positive = arguments.count("n_positive", n_positive, least=3)
    rows = [(right, 1), (-left, 1), (0, 1), (0, -1)]
    return Points(np.array(rows), np.array([1, 1, n_positive - 2, 1]))


def sphere(dim: int, k: int, m_plus: int, *, norm: int = 37) -> Points:
    """On a circle or sphere: a pole m_plus times, its opposite once, sideways points k times each.

    The sideways points are +-side e_j + height e_dim for j < dim, with side^2 + height^2 = norm^2.

    Args: dim: 2 or 3; k, m_plus: multiplicities; norm: 37 (35, 12) or 25 (24, 7).
    Returns: Points of shape (2 dim, dim), all of the same norm exactly.
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/cycles.

    >>> sphere(2, 4, 200).z.tolist()
    [[35, 12], [-35, 12], [0, 37], [0, -37]]
    """
    dim, k, m_plus, norm = _whole(dim=dim, k=k, m_plus=m_plus, norm=norm)
    sides = {37: (35, 12), 25: (24, 7)}
    if dim not in (2, 3):
        raise ValueError(f"dim: got {dim!r}, 2 or 3 is needed; these are the sets that are drawn.")
    if norm not in sides:
        raise ValueError(f"norm: got {norm!r}, {sorted(sides)} are possible; they give integers.")
    side, height = sides[norm]
    axes = np.eye(dim, dtype=int)
    rows = [sign * side * axes[j] + height * axes[-1] for j in range(dim - 1) for sign in (1, -1)]
    multiplicities = [k] * len(rows) + [m_plus, 1]
    return Points(np.array([*rows, norm * axes[-1], -norm * axes[-1]]), np.array(multiplicities))


# fmt: off
_TEMPERATURES = [  # degrees Fahrenheit
    66, 70, 69, 68, 67, 72, 73, 70, 57, 63, 70, 78,
    67, 53, 67, 75, 70, 81, 76, 79, 75, 76, 58,
]
# fmt: on
_DISTRESS = [0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1]


def orings(*, raw: bool = False) -> NDArray[np.float64]:
    """O-ring distress against temperature before the Challenger flight, with an intercept.

    Args: raw: whether temperature stays in degrees Fahrenheit; else it is standardised.
    Returns: absorbed data z = y (x, 1), shape (23, 2), float64; y is 1 for distress.
    Source: Dalal, Fowlkes and Hoadley, J. Am. Stat. Assoc. 84 (1989).

    >>> orings(raw=True)[1].tolist()
    [70.0, 1.0]
    """
    x = np.array(_TEMPERATURES, float)
    if not raw:
        x = (x - x.mean()) / x.std()
    y = 2.0 * np.array(_DISTRESS) - 1
    z: NDArray[np.float64] = y[:, None] * np.column_stack([x, np.ones_like(x)])
    return z


class Known(NamedTuple):
    """A cycle that `certify.certify_cycle` proves: where, at which step size, from which start.

    gamma is step_size * lambda, rounded; step_size and start are exact decimals.

    >>> OUTLIER_CYCLES[0].step_size
    '4.202935'
    """

    gamma: float
    points: Points
    step_size: str
    start: str | tuple[str, ...]
    period: int = 2


# Cycles on the line that the orbit of 0 reaches, one for each step size from 1.05 to 1.99.
OUTLIER_CYCLES = tuple(
    Known(gamma, outlier(m_plus, m_minus, size), step_size, "0")
    for gamma, m_plus, m_minus, size, step_size in [
        (1.05, 787, 775, 1500, "4.202935"),
        (1.10, 1769, 1729, 500, "4.388320"),
        (1.15, 55, 51, 220, "4.649499"),
        (1.20, 49, 44, 110, "4.847500"),
        (1.25, 44, 40, 90, "4.748498"),
        (1.30, 25, 21, 55, "5.259944"),
        (1.35, 23, 21, 90, "4.719922"),
        (1.40, 22, 19, 50, "5.061815"),
        (1.45, 16, 12, 30, "5.995645"),
        (1.50, 13, 10, 27, "5.803762"),
        (1.55, 3, 2, 45, "7.749845"),
        (1.60, 6, 4, 19, "6.899100"),
        (1.65, 5, 3, 19, "7.830398"),
        (1.70, 9, 6, 15, "6.724000"),
        (1.75, 5, 3, 13, "7.611483"),
        (1.80, 2, 1, 12, "10.298135"),
        (1.85, 4, 2, 12, "9.475876"),
        (1.90, 2, 1, 10, "10.140377"),
        (1.95, 4, 2, 8, "8.886537"),
        (1.99, 2, 1, 8, "9.410401"),
    ]
)

# Longer ones, also from 0.
LONG_CYCLES = tuple(
    Known(gamma, outlier(m_plus, m_minus, size), step_size, "0", period)
    for gamma, period, m_plus, m_minus, size, step_size in [
        (1.2, 6, 42, 39, 170, "4.842676"),
        (1.5, 3, 22, 18, 36, "5.714604"),
        (1.5, 4, 8, 6, 27, "6.063223"),
        (1.5, 5, 18, 15, 49, "6.009765"),
        (1.8, 3, 20, 15, 21, "6.820264"),
        (1.8, 4, 11, 8, 21, "7.030148"),
        (1.8, 5, 11, 8, 26, "7.506405"),
        (1.8, 8, 7, 5, 31, "7.946736"),
        (1.9, 3, 15, 12, 23, "5.996161"),
    ]
)

# In the plane, below half the critical step size and far below.
WALL_CYCLES = tuple(
    Known(gamma, walls(size, margin, m_plus, m_minus), step_size, ("1", "0"))
    for gamma, size, margin, m_plus, m_minus, step_size in [
        (0.05, 80, 6, 25, 7, "0.277616"),
        (0.10, 60, 6, 20, 6, "0.540265"),
        (0.25, 25, 3, 20, 3, "1.525592"),
        (0.50, 20, 4, 15, 4, "2.751479"),
        (0.75, 12, 3, 15, 3, "5.760070"),
        (0.90, 8, 2, 15, 2, "8.366402"),
    ]
)

# One feature and an intercept; the last four are reached from the origin.
INTERCEPT_CYCLES = tuple(
    Known(gamma, intercept(n_positive, left, right), step_size, (first, "0"))
    for gamma, n_positive, left, right, step_size, first in [
        (0.5, 82, 15, 15, "7.747791", "1"),
        (0.9, 37, 10, 10, "6.673622", "1"),
        (1.2, 25, 8, 8, "6.591000", "1"),
        (1.5, 19, 6, 6, "8.771930", "1"),
        (1.8, 14, 5, 5, "8.678571", "1"),
        (0.9, 37, 10, 12, "5.581936", "0"),
        (1.2, 27, 10, 12, "4.079568", "0"),
        (1.5, 20, 10, 12, "2.903694", "0"),
        (1.8, 14, 8, 10, "2.724164", "0"),
    ]
)

# Points of equal norm, on the circle and on the sphere.
SPHERE_CYCLES = tuple(
    Known(gamma, sphere(dim, k, m_plus, norm=norm), step_size, start)
    for gamma, dim, k, m_plus, norm, step_size, start in [
        (1.99, 2, 4, 200, 37, "0.363739769", ("0.055", "0.17")),
        (1.95, 2, 4, 275, 37, "0.517783692", ("0.062", "0.18")),
        (1.90, 2, 5, 517, 37, "0.882788811", ("0.0611", "0.2024")),
        (1.80, 2, 5, 1810, 25, "6.300413699", ("0.1096", "0.3565")),
        (1.99, 3, 4, 175, 37, "0.369185748", ("0.06", "0.008", "0.18")),
        (1.95, 3, 4, 250, 37, "0.535158817", ("0.06", "0.008", "0.18")),
    ]
)

for _known in (
    *OUTLIER_CYCLES,
    *LONG_CYCLES,
    *WALL_CYCLES,
    *INTERCEPT_CYCLES,
    *SPHERE_CYCLES,
):
    for _array in _known.points:  # one object for everyone: nobody is to edit it
        _array.setflags(write=False)
