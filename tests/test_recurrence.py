"""optdyn.recurrence against NumPy loops, SciPy, Toeplitz matrices and an Adam written out."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import toeplitz
from scipy.signal import lfilter

from optdyn import pole_families, recurrence
from optdyn.allpass import Poles, optimal_readout, shift_error
from optdyn.javascript import translate
from tests.engine import Engine

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


KEY = jax.random.key(2)
RNG = np.random.default_rng(4)
DECAY = np.array([0.01, 0.3, 1e-9, 40.0, 0.3])  # a slow pole, almost no memory, a pole twice
PHASE = np.array([0.2, -2.0, 3.1, 1.0, -2.0])
POLES = Poles(DECAY, PHASE)
READOUT = RNG.normal(size=5) + 1j * RNG.normal(size=5)
WAYS = [("scan", 1), ("scan", 7), ("associative", 16), ("fft", 1)]


def loop(poles, readout, inputs):
    a, x, out = poles.values, 0.0, []
    for u in inputs:
        x = np.multiply.outer(a, np.ones_like(u)) * x + u
        out.append(np.tensordot(readout, x, 1).real)
    return np.array(out)


@pytest.mark.parametrize(("method", "block"), WAYS)
@pytest.mark.parametrize("shape", [(150,), (28, 2, 3), (1,)])
def test_linear_rnn_is_the_loop(method, block, shape):
    inputs = RNG.normal(size=shape)
    outputs = recurrence.linear_rnn(POLES, READOUT, inputs, method=method, block=block)
    assert outputs.shape == shape and outputs.dtype == np.float64
    np.testing.assert_allclose(outputs, loop(POLES, READOUT, inputs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", recurrence.METHODS)
def test_linear_rnn_in_float32_and_with_real_readouts(method):
    poles = pole_families.equispaced(8, 64, alpha=np.float32(1.0))
    inputs = RNG.normal(size=(4096, 2))
    outputs = recurrence.linear_rnn(
        poles, np.ones(8, np.float32), inputs.astype("f"), method=method
    )
    expected = sum(lfilter([1], [1, -a], inputs, axis=0).real for a in np.asarray(poles.values))
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    whole = recurrence.linear_rnn(Poles([0.5], [0.0]), [2], [1, 0], method=method)
    np.testing.assert_allclose(whole, [2, 2 * np.exp(-0.5)])


numbers = st.floats(-10, 10)


@settings(max_examples=25)
@given(
    st.lists(st.floats(1e-9, 100), min_size=3, max_size=3),
    st.lists(st.floats(-np.pi, np.pi), min_size=3, max_size=3),
    st.lists(numbers, min_size=6, max_size=6),
    st.lists(numbers, min_size=40, max_size=40),
)
def test_the_three_ways_agree(decay, phase, readout, inputs):
    poles = Poles(np.array(decay), np.array(phase))
    weights = np.array(readout[:3]) + 1j * np.array(readout[3:])
    expected = loop(poles, weights, np.array(inputs))
    scale = np.abs(weights).sum() * np.abs(inputs).sum()
    for method, block in (("scan", 8), ("associative", 8), ("fft", 8)):
        found = recurrence.linear_rnn(poles, weights, inputs, method=method, block=block)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * scale + 1e-300)


def test_half_of_the_poles_with_the_readout_doubled():
    upper = Poles(np.array([0.1, 0.2]), np.array([0.3, 0.9]))
    whole = Poles(np.tile(upper.decay, 2), np.concatenate([upper.phase, -upper.phase]))
    b = np.array([1 + 2j, 0.5 - 1j])
    one = recurrence.impulse_response(whole, np.concatenate([b, b.conj()]), 50)
    np.testing.assert_allclose(one.imag, 0, atol=1e-14)
    half = recurrence.impulse_response(upper, 2 * b, 50)
    np.testing.assert_allclose(half.real, one.real, rtol=0, atol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 9, 1000])
def test_impulse_response_is_powers(n):
    response = recurrence.impulse_response(POLES, READOUT, n)
    with mpmath.workdps(30):
        log = [mpmath.mpc(-m, t) for m, t in zip(DECAY, PHASE, strict=True)]
        pairs = list(zip(map(complex, READOUT), log, strict=True))
        expected = [complex(sum(b * mpmath.exp(k * x) for b, x in pairs)) for k in range(n)]
    assert response.shape == (n,)
    np.testing.assert_allclose(response, expected, rtol=0, atol=2e-12)


def test_gradients_agree_with_differences():
    inputs = RNG.normal(size=30)

    def energy(decay, phase, real, method, block):
        out = recurrence.linear_rnn(
            Poles(decay, phase), real + 0.5j, inputs, method=method, block=block
        )
        return jnp.sum(out**2)

    point = (np.array([0.1, 0.5]), np.array([0.4, -1.0]), np.array([1.0, 2.0]))
    expected = np.zeros((3, 2))
    for i in range(3):
        for j in range(2):
            ends = []
            for h in (1e-6, -1e-6):
                moved = [part.copy() for part in point]
                moved[i][j] += h
                out = loop(Poles(*moved[:2]), moved[2] + 0.5j, inputs)
                ends.append(np.sum(out**2))
            expected[i, j] = (ends[0] - ends[1]) / 2e-6
    for method, block in (("scan", 8), ("associative", 8), ("fft", 8)):
        slopes = jax.jit(jax.grad(energy, (0, 1, 2)), static_argnums=(3, 4))(*point, method, block)
        np.testing.assert_allclose(slopes, expected, rtol=1e-7, atol=1e-6)


def test_values_do_not_recompile_and_vmap_is_a_batch():
    compiled = []

    @jax.jit
    def run(decay, readout, inputs):
        compiled.append(1)
        return recurrence.linear_rnn(Poles(decay, PHASE), readout, inputs)

    for size in (0.5, 1.0):
        inputs = RNG.normal(size=20)
        found = run(size * DECAY, size * READOUT, inputs)
        expected = loop(Poles(size * DECAY, PHASE), size * READOUT, inputs)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert compiled == [1]
    decays, inputs = np.stack([DECAY, 2 * DECAY]), RNG.normal(size=20)
    many = jax.vmap(lambda d: recurrence.linear_rnn(Poles(d, PHASE), READOUT, inputs))(decays)
    np.testing.assert_allclose(
        many[1], loop(Poles(2 * DECAY, PHASE), READOUT, inputs), rtol=0, atol=1e-12
    )


def test_the_page_can_run_it():
    def both(decay, inputs, rho):
        poles = Poles(decay, PHASE)
        return (
            recurrence.linear_rnn(poles, READOUT, inputs, block=16),
            recurrence.copy_error(poles, READOUT, 6, rho=rho, n=40),
        )

    given = (DECAY, RNG.normal(size=50), np.array(0.5))
    with Engine() as engine:
        found = engine.run(translate(both, *given), *given)
    for one, other in zip(found, both(*given), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


SLOW = Poles(DECAY[:2], PHASE[:2])
SLOPE = jax.jit(jax.grad(lambda r: recurrence.copy_error(SLOW, READOUT[:2], 7, rho=r, n=100)))


@pytest.mark.parametrize("rho", [0.0, 0.9, -0.6])
def test_copy_error_is_the_quadratic_form(rho):
    poles, b, lag, n = SLOW, READOUT[:2], 7, 100
    off = sum(w * a ** np.arange(n) for w, a in zip(b, poles.values, strict=True)).real
    off[lag] -= 1
    expected = off @ toeplitz(float(rho) ** np.arange(n)) @ off
    found = recurrence.copy_error(poles, b, lag, rho=rho, n=n)
    assert float(found) == pytest.approx(expected, rel=1e-12)
    nothing = recurrence.copy_error(poles, 0 * b, lag, rho=rho, n=n)
    assert float(nothing) == pytest.approx(1, abs=1e-14)
    ends = [off @ toeplitz((rho + h) ** np.arange(n)) @ off for h in (1e-6, -1e-6)]
    assert float(SLOPE(rho)) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-7)


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_copy_error_of_the_best_readout_is_the_shift_error(rho):
    poles = pole_families.equispaced(6, 12, alpha=1.2)
    b, _ = optimal_readout(poles, 12, rho=rho)
    found = recurrence.copy_error(poles, b, 12, rho=rho, n=300)
    assert float(found) == pytest.approx(float(shift_error(poles, 12, rho=rho)), abs=1e-12)


def test_small_readout():
    poles = Poles(np.repeat([0.5, 1e-9], 5000), np.zeros(10000))
    b = np.asarray(recurrence.small_readout(KEY, poles))
    for part in (b.real[:5000], b.imag[:5000]):
        size = np.sqrt(1 - np.exp(-1)) / 10 / np.sqrt(10000)
        assert part.std() == pytest.approx(size, rel=0.05)
    assert b.real[5000:].std() == pytest.approx(np.sqrt(2e-9) / 1000, rel=0.05)
    plain = np.asarray(recurrence.small_readout(KEY, poles, normalise=False))
    assert plain.real.std() == pytest.approx(1 / 1000, rel=0.05)


LAG, N = 6, 48
START = Poles(np.array([0.2, 0.15]), np.array([0.3, 0.8]))
FIRST = np.array([0.02 + 0.01j, -0.03 + 0.02j])


def loss_of(x, parametrization, rho):
    """The population loss of the trained numbers (4, 2), in NumPy."""
    if parametrization == "lru":
        a = np.exp(-np.exp(x[0]) + 1j * x[1])
        b = 2 * np.sqrt(1 - np.abs(a) ** 2) * (x[2] + 1j * x[3])
    else:
        a, b = x[0] + 1j * x[1], 2 * (x[2] + 1j * x[3])
    off = (a ** np.arange(N)[:, None] @ b).real
    off[LAG] -= 1
    return off @ toeplitz(rho ** np.arange(N)) @ off, a, b


@pytest.mark.parametrize("rho", [0.0, 0.7])
@pytest.mark.parametrize(("parametrization", "optimizer"), [("lru", "adam"), ("direct", "sgd")])
def test_training_is_gradient_descent_written_out(parametrization, optimizer, rho):
    record = recurrence.train_copy(
        START, FIRST, lag=LAG, rho=rho, n_steps=6, learning_rate=0.01,
        parametrization=parametrization, optimizer=optimizer, record_every=2,
    )  # fmt: skip
    rates = 0.01 * np.ones((4, 1))
    if parametrization == "lru":
        half = FIRST / 2 / np.sqrt(-np.expm1(-2 * START.decay))
        x = np.stack([np.log(START.decay), START.phase, half.real, half.imag])
        rates[1] /= 10
    else:
        a = START.values
        x = np.stack([a.real, a.imag, FIRST.real / 2, FIRST.imag / 2])
    first, second, losses = np.zeros_like(x), np.zeros_like(x), []
    for n in range(1, 8):
        losses.append(loss_of(x, parametrization, rho)[0])
        slope = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            h = np.zeros_like(x)
            h[index] = 1e-6
            up, down = (loss_of(x + s * h, parametrization, rho)[0] for s in (1, -1))
            slope[index] = (up - down) / 2e-6
        if n == 7:
            break
        if optimizer == "adam":
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            slope = first / (1 - 0.9**n) / (np.sqrt(second / (1 - 0.999**n)) + 1e-8)
        x = x - rates * slope
    np.testing.assert_allclose(record.losses, losses[::2], rtol=1e-7)
    _, a, b = loss_of(x, parametrization, rho)
    np.testing.assert_allclose(record.poles.values, a, rtol=1e-7)
    np.testing.assert_allclose(record.readout, b, rtol=1e-6)
    assert record.path.decay.shape == (4, 2)
    np.testing.assert_allclose(record.path.decay[0], START.decay, rtol=1e-14)
    np.testing.assert_array_equal(record.path.phase[-1], record.poles.phase)
    model = recurrence.copy_error(record.poles, record.readout, LAG, rho=rho)
    assert float(model) == pytest.approx(float(record.losses[-1]), rel=1e-12)


def test_learning_from_data_goes_the_same_way_on_average():
    """One step of plain descent, over many keys; what is past the sequences is negligible here."""
    start = Poles(np.array([0.5, 0.6]), START.phase)

    def moved(key):
        run = recurrence.train_copy(
            start, 20 * FIRST, lag=12, rho=0.5, n_steps=1, optimizer="sgd", key=key
        )
        return jnp.concatenate([run.path.decay[1], run.path.phase[1], run.readout.real]) - before

    before = np.concatenate([*start, 20 * FIRST.real])
    steps = np.asarray(jax.vmap(moved)(jax.random.split(KEY, 100)))
    whole = recurrence.train_copy(start, 20 * FIRST, lag=12, rho=0.5, n_steps=1, optimizer="sgd")
    expected = np.concatenate([*whole.poles, whole.readout.real]) - before
    error = steps.std(axis=0) / 10
    assert (np.abs(steps.mean(axis=0) - expected) < 5 * error + 0.01 * np.abs(expected)).all()
    assert (error < 0.2 * np.abs(expected).max()).all()
    assert len(np.unique(steps[:, 0])) == 100


def learn(rho, **options):
    """Losses of five starts: the explicit filter's poles and small readouts."""
    upper = Poles(np.full(8, 1 / 64), np.pi * (np.arange(8) + 0.5) / 64)
    plain = options.get("parametrization") == "direct"

    def run(key):
        readout = recurrence.small_readout(key, upper, normalise=not plain)
        return recurrence.train_copy(upper, readout, lag=64, rho=rho, **options).losses

    return np.asarray(jax.vmap(run)(jax.random.split(KEY, 5)))


def test_learning_to_copy_64_steps():
    """The fact sheet's figures, of another program with other random readouts."""
    white = learn(0.0, n_steps=2000, record_every=100)[:, -1]
    assert white.mean() == pytest.approx(0.812, abs=0.01)
    slow = learn(0.95, n_steps=2000, record_every=100)[:, -1]
    assert slow.mean() == pytest.approx(0.0655, abs=0.002)
    assert white.min() > 0.78911 and slow.min() > 0.0475  # the best known
    fast = learn(0.0, n_steps=2000, record_every=100, learning_rate=0.03)
    assert fast.max() < 1.2 and fast[:, 6].max() < 0.85


def test_the_direct_parametrization_explodes_where_the_other_learns():
    direct = learn(0.0, n_steps=600, learning_rate=0.03, parametrization="direct")
    assert direct.max() > 1e6 and direct[:, -1].min() > 0.95


def test_float32_training_and_overflow():
    start = Poles(np.full(2, 0.1, np.float32), np.float32([0.3, 0.9]))
    record = recurrence.train_copy(start, FIRST.astype("F"), lag=8, n_steps=3)
    assert record.losses.dtype == np.float32 and record.readout.dtype == np.complex64
    wild = recurrence.train_copy(
        START, 100 * FIRST, lag=LAG, n_steps=6, learning_rate=1e3, record_every=2,
        parametrization="direct", optimizer="sgd",
    )  # fmt: skip
    assert not np.isfinite(wild.losses[-1])


RUN = {"poles": START, "readout": FIRST, "inputs": np.zeros(3)}
TRAIN = {"poles": START, "readout": FIRST, "lag": 6, "n_steps": 2}
ERROR = {"poles": START, "readout": FIRST, "lag": 6}
WRONG = [
    ("linear_rnn", RUN, {"method": "loop"}, ValueError, "method: got 'loop'.*'scan'"),
    ("linear_rnn", RUN, {"block": 0}, ValueError, "block: got 0"),
    ("linear_rnn", RUN, {"inputs": 1.0}, ValueError, r"inputs: got shape \(\)"),
    ("linear_rnn", RUN, {"inputs": np.zeros((0, 2))}, ValueError, r"inputs: got shape \(0, 2\)"),
    ("linear_rnn", RUN, {"inputs": np.zeros(3, complex)}, TypeError, "inputs: got .*complex"),
    ("linear_rnn", RUN, {"readout": np.ones(3)}, ValueError, r"readout: got shape \(3,\), \(2,\)"),
    ("linear_rnn", RUN, {"readout": [np.nan, 1]}, ValueError, "readout: got nan"),
    ("linear_rnn", RUN, {"readout": ["a", "b"]}, TypeError, "readout: "),
    ("linear_rnn", RUN, {"poles": (0.1, 0.2)}, TypeError, "poles: got tuple"),
    ("linear_rnn", RUN, {"poles": Poles([0.1, -1], [0, 0])}, ValueError, "decay: got -1"),
    ("copy_error", ERROR, {"n": 6}, ValueError, "n: got 6, more than lag = 6"),
    ("copy_error", ERROR, {"rho": 1.0}, ValueError, "rho: got 1.0"),
    ("copy_error", ERROR, {"lag": -1}, ValueError, "lag: got -1"),
    ("train_copy", TRAIN, {"horizon": 3}, ValueError, "horizon: got 3, more than lag"),
    ("train_copy", TRAIN, {"parametrization": "polar"}, ValueError, "parametrization: got 'polar'"),
    ("train_copy", TRAIN, {"optimizer": "lion"}, ValueError, "optimizer: got 'lion'"),
    ("train_copy", TRAIN, {"learning_rate": 0.0}, ValueError, "learning_rate: got 0.0"),
    ("train_copy", TRAIN, {"lag": 0}, ValueError, "lag: got 0"),
    ("train_copy", TRAIN, {"n_steps": 1.5}, TypeError, "n_steps: got 1.5"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "good", "bad", "error", "message"), WRONG)
def test_bad_input(name, good, bad, error, message):
    with pytest.raises(error, match=message):
        getattr(recurrence, name)(**{**good, **bad})
