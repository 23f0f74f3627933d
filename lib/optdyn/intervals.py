"""Gradient descent on logistic regression in interval arithmetic, for `optdyn.certify`.

An interval contains the true number, whatever was rounded on the way. Vectors are lists of
intervals, matrices lists of rows; a point is a vector of intervals of no width, a radius a number
of no width. Needs mpmath.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vector = list[Any]
Matrix = list[list[Any]]


def nearest(x: Any) -> Any:
    """The middle of an interval as a float, of a vector or matrix as a float64 array.

    >>> nearest([GradientMap([[1]], [1], Fraction(1), 64).exact(Fraction(1, 4))])
    array([0.25])
    """
    return np.array([nearest(a) for a in x]) if isinstance(x, list) else float(x.mid)


def outwards(low: Any, high: Any) -> tuple[float, float]:
    """A float below the lower end of one interval, and one above the upper end of another.

    >>> third = GradientMap([[1]], [1], Fraction(1), 64).exact(Fraction(1, 3))
    >>> low, high = outwards(third, third)
    >>> Fraction(low) < Fraction(1, 3) < Fraction(high)
    True
    """
    return math.nextafter(float(low.a), -math.inf), math.nextafter(float(high.b), math.inf)


def surely_less(x: Any, y: Any) -> bool:
    """Whether every number of the interval x is less than every number of the interval y.

    >>> iv = GradientMap([[1]], [1], Fraction(1), 64).iv
    >>> surely_less(iv.mpf([1, 2]), iv.mpf(3)), surely_less(iv.mpf([1, 2]), iv.mpf([2, 3]))
    (True, False)
    """
    return bool(x.b < y.a)


class GradientMap:
    """M(w) = w - step_size * grad L(w) for whole-number data, in `bits` bits.

    The interval context is private: mpmath's global precision is neither read nor changed.

    Args: rows: of whole numbers, shape (n, d); counts: how often each occurs; step_size; bits.

    >>> the_map = GradientMap([[1], [-1]], [3, 1], Fraction(2), 64)
    >>> image, _, stretch = the_map.step([the_map.iv.zero], the_map.iv.zero)
    >>> print(nearest(image), nearest(stretch))  # L'(0) = -1/4, L''(0) = 1/4
    [0.5] 0.5
    """

    def __init__(self, rows: Any, counts: Any, step_size: Fraction, bits: int) -> None:
        from mpmath.ctx_iv import MPIntervalContext  # type: ignore[import-untyped]

        self.iv: Any = MPIntervalContext()
        self.iv.prec = bits
        # mpmath does not promise that its exponential rounds outwards: widen it by 256 units.
        self.blur = 1 + self.iv.ldexp(self.iv.mpf([-1, 1]), 8 - bits)
        self.data = []
        for row, count in zip(rows, counts, strict=True):
            row, count = [int(a) for a in row], Fraction(int(count), sum(map(int, counts)))
            square = self.exact(Fraction(sum(a * a for a in row)))
            vector = [self.exact(Fraction(a)) for a in row]
            self.data.append((vector, square, self.exact(step_size * count)))
        self.lengths = [self.iv.sqrt(square).b for _, square, _ in self.data]
        self.d = len(vector)

    def exact(self, value: Fraction) -> Any:
        """The interval around a rational number."""
        return self.iv.mpf(value.numerator) / self.iv.mpf(value.denominator)

    def point(self, x: Floats) -> Vector:
        """The point whose coordinates are these floats."""
        return [self.iv.mpf(u) for u in x.tolist()]

    def matrix(self, a: Floats) -> Matrix:
        """The matrix of these floats."""
        return [self.point(row) for row in a]

    def exp(self, x: Any) -> Any:
        """Around e^x."""
        return self.iv.exp(x) * self.blur

    def sigmoids(self, m: Any, s: Any) -> tuple[Any, Any]:
        """Around sigma(-m), and around sigma' on all of [m - s, m + s].

        |d log sigma'(m) / dm| < 1, and e^s < 1 + s + s^2 for 0 < s < 1.
        """
        e = self.exp(m)
        sigma = 1 / (1 + e)
        if not surely_less(s, self.iv.one):
            return sigma, self.iv.mpf([0, 0.25])
        grow = (1 + s + s * s).b
        return sigma, e * sigma * sigma * self.iv.mpf([1 / grow, grow])

    def step(self, x: Vector, reach: Any) -> tuple[Vector, Vector, Any]:
        """One step from the ball of radius `reach` around the point x.

        Returns: M(x); step_size * p_i * sigma'_i on the ball; how much M stretches distances there.
            H is symmetric and not negative, so that is at most max(1, step_size * trace H - 1), and
            in one dimension |1 - step_size * H|.
        """
        image, curvatures, trace = list(x), [], self.iv.zero
        for (row, square, pull), length in zip(self.data, self.lengths, strict=True):
            sigma, bend = self.sigmoids(self.dot(row, x), length * reach)
            image = [u + pull * sigma * a for u, a in zip(image, row, strict=True)]
            curvatures.append(pull * bend)
            trace += square * curvatures[-1]
        stretch = abs(1 - trace).b
        if self.d > 1 and not surely_less(self.iv.one, stretch):
            stretch = self.iv.one
        return image, curvatures, stretch

    def hessian(self, curvatures: Vector) -> Matrix:
        """step_size * H, from the curvatures that `step` returns."""
        matrix = [[self.iv.zero] * self.d for _ in range(self.d)]
        for (row, *_), c in zip(self.data, curvatures, strict=True):
            for i in range(self.d):
                for j in range(i + 1):
                    matrix[i][j] = matrix[j][i] = matrix[i][j] + c * row[i] * row[j]
        return matrix

    def around(self, centres: list[Vector], reach: Any, first: int = 0) -> tuple[Vector, Matrix]:
        """Carry the ball of radius `reach` around centres[first] to the last centre.

        Returns: the radius of a ball around each of centres[first:] that holds the ball's image
            there; the derivative of the whole map on the ball.
        """
        reaches, jacobian = [reach], self.matrix(np.eye(self.d))
        for here, there in zip(centres[first:-1], centres[first + 1 :], strict=True):
            image, curvatures, stretch = self.step(here, reach)
            bent = self.product(self.hessian(curvatures), jacobian)
            jacobian = self.difference(jacobian, bent)
            reach = (stretch * reach + self.distance(image, there)).b
            reaches.append(reach)
        return reaches, jacobian

    def dot(self, x: Vector, y: Vector) -> Any:
        """x.y"""
        return sum((a * b for a, b in zip(x, y, strict=True)), self.iv.zero)

    def product(self, a: Matrix, b: Matrix) -> Matrix:
        """The matrix product."""
        columns = [list(c) for c in zip(*b, strict=True)]
        return [[self.dot(row, column) for column in columns] for row in a]

    def difference(self, a: Matrix, b: Matrix) -> Matrix:
        """a - b"""
        return [[x - y for x, y in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)]

    def scaled(self, c: Any, a: Matrix) -> Matrix:
        """c * a"""
        return [[c * x for x in row] for row in a]

    def norm(self, x: Vector) -> Any:
        """The Euclidean norm."""
        return self.iv.sqrt(sum((abs(a) * abs(a) for a in x), self.iv.zero))

    def distance(self, x: Vector, y: Vector) -> Any:
        """The Euclidean distance."""
        return self.norm([a - b for a, b in zip(x, y, strict=True)])

    def positive_definite(self, a: Matrix) -> bool:
        """Whether every symmetric matrix in `a` surely is: all pivots of elimination are positive.

        >>> the_map = GradientMap([[1, 0], [0, 1]], [1, 1], Fraction(1), 64)
        >>> [the_map.positive_definite(the_map.matrix(np.array([[2., x], [x, 2.]])))
        ...  for x in (1.99, 2.0)]
        [True, False]
        """
        a = [list(row) for row in a]
        for k in range(self.d):
            if not surely_less(self.iv.zero, a[k][k]):
                return False
            for i in range(k + 1, self.d):
                for j in range(k + 1, i + 1):
                    a[i][j] = a[i][j] - a[i][k] * a[j][k] / a[k][k]
        return True

    def modulus(self, a: Matrix) -> tuple[Any, Any]:
        """Around the eigenvalue in one dimension; in more, around the largest modulus of one.

        |trace A^m| / d <= modulus^m <= |A^m|, in Frobenius' norm, for m = 1, 2, 4, ..., 2^23.
        """
        if self.d == 1:
            return a[0][0], a[0][0]
        low, high = self.iv.zero, self.norm([x for row in a for x in row]).b
        for squarings in range(24):
            trace = abs(sum((a[i][i] for i in range(self.d)), self.iv.zero)) / self.d
            size = self.norm([x for row in a for x in row])
            for _ in range(squarings):
                trace, size = self.iv.sqrt(trace), self.iv.sqrt(size)
            low, high = max(low, trace.a), min(high, size.b)
            a = self.product(a, a)
        return low, high
