"""optdyn.doublings against period doublings in 40 digits, and where there are none."""

import numpy as np
import pytest

from optdyn import doublings, logistic

FLAGSHIP = [1.0, 1.0, -1.0, 10.0]
UNIT = logistic.critical_step_size(FLAGSHIP) / 2  # step sizes are given as multiples of 1 / lambda

CASCADES = [
    (FLAGSHIP, None, 1.9 * UNIT, UNIT, """
     1.92082091731295543 1.94131569417082775 1.94617863918993269 1.94723717690048639
     1.94746479925634937 1.94751358751145835 1.94752403832178684"""),
    ([1, -1], [3, 1], 8.0, 16 / 3, """2 2.63517159023316145 2.81438525210399931 2.85301702147599413
     2.86134250718336384 2.86312674457067896 2.86350895862236258 2.86359082023280395"""),
    ([1, -1], [2, 1], 8.0, 9 / 2, """2 2.79694492275877441 3.06605939640966106 3.12299330184228707
     3.13514213902686813"""),
    ([1, 1, -1, 12], None, 1.81 * logistic.critical_step_size([1, 1, -1, 12]) / 2,
     logistic.critical_step_size([1, 1, -1, 12]) / 2,
     "1.83302965733112426 1.84715499052993283 1.85051499773041171 1.8512476246571508"),
]  # fmt: skip


@pytest.mark.parametrize("cascade", CASCADES, ids=["flagship", "3/4", "2/3", "twelve"])
def test_period_doublings(cascade):
    z, m, start, unit, expected = cascade
    expected = np.array(expected.split(), float)
    flips = doublings.period_doublings(z, weights=m, n_flips=len(expected), step_size=start)
    np.testing.assert_allclose(flips / unit, expected, rtol=0, atol=1e-12)
    ratios = np.diff(flips)[:-1] / np.diff(flips)[1:]
    if len(ratios) >= 4:
        assert ratios[-1] == pytest.approx(4.6692, abs=0.005)


def test_period_doublings_that_do_not_come():
    w = float(logistic.minimizer(FLAGSHIP))
    one = doublings.period_doublings(FLAGSHIP, n_flips=1, step_size=1.99 * UNIT, w0=w)
    np.testing.assert_allclose(one, [2 * UNIT], rtol=1e-13)
    for wrong, kwargs in [
        ("does not take over", {"z": FLAGSHIP, "n_flips": 2, "step_size": 1.99 * UNIT, "w0": w}),
        ("settles on no cycle", {"z": FLAGSHIP, "n_flips": 1, "step_size": 1.98 * UNIT}),
        ("does not double", {"z": [1.0, -1.0], "n_flips": 2, "step_size": 7.0}),
    ]:
        with pytest.raises(ValueError, match=rf"^step_size: got \d.*{wrong}"):
            doublings.period_doublings(**kwargs)


FLIPS = {"z": FLAGSHIP, "n_flips": 1, "step_size": 1.0}
WRONG = [
    ({"n_flips": 0}, "n_flips: .*0"),
    ({"n_flips": 40, "step_size": 10.14}, "n_flips: .*40.*12"),
    ({"step_size": float("nan")}, "step_size: .*nan"),
    ({"z": np.eye(2)}, "z: .*2 numbers"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_bad_input(change, message):
    with pytest.raises(ValueError, match="^" + message):
        doublings.period_doublings(**FLIPS | change)
