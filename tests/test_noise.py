"""optdyn.noise against mpmath, Cholesky factors, and sample moments."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import toeplitz
from scipy.stats import chi2

from engine import Engine
from optdyn import javascript, noise

HURSTS = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
DELICATE = (1e-12, 1e-4, 0.499999, 0.5000001, 0.999999)  # where differences of powers cancel
KEY = jax.random.key(0)


# --- white noise and its increments ---------------------------------------------------


@pytest.mark.parametrize("kind", ["gaussian", "rademacher"])
def test_white_noise_has_the_moments_of_its_law(kind):
    x = np.asarray(noise.white_noise(KEY, (400, 1001), sigma=0.5, kind=kind), float)
    n = x.size
    assert abs(x.mean()) < 4 * 0.5 / n**0.5
    assert x.var() == pytest.approx(0.25, rel=4 * (2 / n) ** 0.5)
    fourth = {"gaussian": 3.0, "rademacher": 1.0}[kind]
    assert np.mean(x**4) / 0.0625 == pytest.approx(fourth, abs=4 * (96 / n) ** 0.5 + 1e-6)
    neighbours = np.corrcoef(x[:, :-1].ravel(), x[:, 1:].ravel())[0, 1]
    below = np.corrcoef(x[:-1].ravel(), x[1:].ravel())[0, 1]
    assert max(abs(neighbours), abs(below)) < 4 / n**0.5


def test_signs_are_the_bits_of_random_words():
    """All 32 of a word are used, each once, and no two words are the same."""
    x = np.asarray(noise.white_noise(KEY, (1000, 32), kind="rademacher"))
    assert set(np.unique(x)) == {-1.0, 1.0}
    words = np.asarray(jax.random.bits(KEY, (1000,), jnp.uint32))
    expected = (words[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    np.testing.assert_array_equal(x, 2.0 * expected - 1)
    assert len(np.unique(words)) == 1000


def test_white_noise_keeps_to_its_type_shape_and_key():
    half = noise.white_noise(KEY, (3, 0), dtype=jnp.float32)
    assert half.shape == (3, 0) and half.dtype == jnp.float32
    assert noise.white_noise(KEY, (), sigma=2, kind="rademacher").shape == ()
    with jax.enable_x64(True):
        assert noise.white_noise(KEY, (2,), dtype=jnp.float32).dtype == jnp.float32
        assert noise.white_noise(KEY, (2,)).dtype == jnp.float64
    a, b = (noise.white_noise(jax.random.key(k), (5,)) for k in (1, 2))
    assert (a != b).all()


def test_increments_are_differences():
    rng = np.random.default_rng(0)
    xi = rng.normal(size=(7, 2, 3)).astype(np.float32)
    for kappa in (0.0, 0.3, 1.0):
        made = noise.increments(xi, kappa=kappa)
        np.testing.assert_allclose(made, xi[1:] - np.float32(kappa) * xi[:-1], atol=1e-6)
    assert noise.increments(xi[:1]).shape == (0, 2, 3)


def test_nothing_recompiles_for_another_sigma_kappa_or_spectrum():
    draw = jax.jit(lambda s, k: noise.increments(noise.white_noise(KEY, (9,), sigma=s), kappa=k))
    for sigma, kappa in ((1.0, 0.0), (0.5, 0.3), (2.0, 1.0)):
        draw(sigma, kappa)
    assert draw._cache_size() == 1
    before = noise._circulant._cache_size()
    for hurst in (0.1, 0.6, 0.9):
        noise.fractional_gaussian_noise(KEY, 37, hurst=hurst, shape=(2,))
    assert noise._circulant._cache_size() == before + 1


def test_a_page_draws_the_same_signs_and_kicks():
    """What `explore` computes in JavaScript is what JAX computes."""

    def kicks(key, sigma, kappa):
        xi = noise.white_noise(key, (5, 33), sigma=sigma, kind="rademacher", dtype=jnp.float32)
        return noise.increments(xi, kappa=kappa)

    program = javascript.translate(kicks, KEY, jnp.float32(1), jnp.float32(1))
    with Engine() as engine:
        for seed, sigma, kappa in ((1, 0.5, 0.0), (2, 2.0, 0.75), (3, 0.0, 1.0)):
            arguments = jax.random.key(seed), np.float32(sigma), np.float32(kappa)
            (found,) = engine.run(program, *arguments)
            np.testing.assert_array_equal(found, kicks(*arguments))


# --- fractional noise -----------------------------------------------------------------


@pytest.mark.parametrize("hurst", HURSTS + DELICATE)
def test_autocovariance_is_that_of_40_digits(hurst):
    lags = [0, 1, 2, 3, 5, 8, 20, 100, 1000, 10**4, 65536, 10**6]
    with mpmath.workdps(40):
        power = 2 * mpmath.mpf(hurst)

        def raised(x):
            return mpmath.mpf(x) ** power if x else mpmath.mpf(0)

        exact = [float((raised(k + 1) - 2 * raised(k) + raised(abs(k - 1))) / 2) for k in lags]
    np.testing.assert_allclose(
        noise.fgn_autocovariance(lags, hurst), exact, rtol=2e-15, atol=1e-300
    )
    np.testing.assert_array_equal(
        noise.fgn_autocovariance([-5, 5], hurst), noise.fgn_autocovariance([5, 5], hurst)
    )


def test_the_ends_and_the_middle_of_the_dial():
    lags = np.arange(50)
    np.testing.assert_array_equal(noise.fgn_autocovariance(lags, 0)[:3], [1, -0.5, 0])
    assert not noise.fgn_autocovariance(lags, 0)[2:].any()
    np.testing.assert_allclose(noise.fgn_autocovariance(lags, 0.5), lags == 0, atol=1e-15)
    np.testing.assert_allclose(noise.fgn_autocovariance(lags, 1), 1, rtol=1e-14)


@given(n=st.integers(1, 300), hurst=st.floats(0, 1))
def test_the_spectrum_is_that_of_the_circulant(n, hurst):
    root = noise.fgn_spectrum(n, hurst)
    r = noise.fgn_autocovariance(np.arange(n + 1), hurst)
    first = np.concatenate([r, r[-2:0:-1]])
    j = np.arange(n + 1)[:, None]
    direct = (first * np.cos(np.pi * j * np.arange(2 * n) / n)).sum(1)
    np.testing.assert_allclose(root**2, direct, atol=1e-10 * n)
    zero = ((n + 1) ** (2 * hurst) - (max(n - 1, 0) ** (2 * hurst) if n > 1 else 0)) / 2
    assert root[0] ** 2 == pytest.approx(zero, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 16, 1000, 1024, 65536])
@pytest.mark.parametrize("hurst", HURSTS)
def test_no_eigenvalue_is_negative(n, hurst):
    """Here for the Fourier transform itself, before anything is clipped."""
    r = noise.fgn_autocovariance(np.arange(n + 1), hurst)
    values = np.fft.rfft(np.concatenate([r, r[-2:0:-1]])).real
    assert values.min() > -1e-11 * values.max()
    assert np.isfinite(noise.fgn_spectrum(n, hurst)).all()


@pytest.mark.parametrize("hurst", [0.0, 0.1, 0.5, 0.9])
def test_fractional_noise_is_exact_in_law(hurst):
    """The sample covariance of 40,000 paths, whitened by Cholesky's factor, is the identity."""
    n, paths = 12, 40_000
    x = noise.fractional_gaussian_noise(jax.random.key(3), n, hurst=hurst, shape=(paths,))
    assert x.shape == (n, paths)
    factor = np.linalg.cholesky(toeplitz(noise.fgn_autocovariance(np.arange(n), hurst)))
    white = np.linalg.solve(factor, np.asarray(x, float))
    covariance = white @ white.T / paths
    off = covariance[np.triu_indices(n, 1)] * paths**0.5
    along = (np.diag(covariance) - 1) * (paths / 2) ** 0.5
    statistic = (off**2).sum() + (along**2).sum()
    low, high = chi2.ppf([1e-4, 1 - 1e-4], n * (n + 1) // 2)
    assert low < statistic < high
    assert abs(white.mean(1)).max() < 5 / paths**0.5


def test_at_zero_the_sum_telescopes():
    """H = 0 is differenced white noise: the sum of any number of kicks stays of variance one."""
    x = noise.fractional_gaussian_noise(KEY, 3000, hurst=0.0, shape=(500,))
    sums = np.cumsum(np.asarray(x, float), 0)
    assert sums[[9, 99, 2999]].var(1) == pytest.approx(np.ones(3), rel=0.3)


def test_one_seed_for_all_hurst_indices():
    paths = [
        np.asarray(noise.fractional_gaussian_noise(KEY, 64, hurst=h)) for h in (0.3, 0.31, 0.7)
    ]
    near, far = (np.abs(p - paths[0]).max() for p in paths[1:])
    assert 0 < near < 0.1 < far


def test_a_spectrum_may_be_traced():
    spectra = np.stack([noise.fgn_spectrum(20, h) for h in (0.2, 0.8)])
    both = jax.vmap(lambda s: noise.fractional_gaussian_noise(KEY, 20, spectrum=s))(spectra)
    for row, hurst in zip(both, (0.2, 0.8), strict=True):
        one = noise.fractional_gaussian_noise(KEY, 20, hurst=hurst)
        np.testing.assert_allclose(row, one, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_short_paths(n):
    assert noise.fractional_gaussian_noise(KEY, n, hurst=0.3).shape == (n,)


def test_prefix_root_squares_to_the_prefix_sum():
    f, g = noise.prefix_root(60)
    F, G = (toeplitz(c, np.zeros(60)) for c in (f, g))
    np.testing.assert_allclose(F @ F, np.tri(60), atol=1e-13)
    np.testing.assert_allclose(F @ G, np.eye(60), atol=1e-13)
    np.testing.assert_allclose(g[:5], [1, -1 / 2, -1 / 8, -1 / 16, -5 / 128])
    assert noise.prefix_root(1)[0].tolist() == [1.0]


# --- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: noise.white_noise(KEY, (2,), kind="cauchy"), ValueError, "kind: got 'cauchy'"),
        (lambda: noise.white_noise(KEY, (2,), sigma=-1.0), ValueError, "sigma: got -1.0"),
        (lambda: noise.white_noise(KEY, (2,), sigma=np.inf), ValueError, "sigma: got inf"),
        (lambda: noise.white_noise(KEY, (2,), sigma=[1, 2]), ValueError, r"sigma: got \[1, 2\]"),
        (lambda: noise.white_noise(KEY, (2,), dtype=int), TypeError, "dtype: got int"),
        (lambda: noise.white_noise(KEY, (2,), dtype="real"), TypeError, "dtype: got real"),
        (lambda: noise.white_noise(KEY, (2,), sigma=np.nan), ValueError, "sigma: got nan"),
        (lambda: noise.white_noise(KEY, (-2,)), ValueError, "shape: got -2"),
        (lambda: noise.white_noise(KEY, 3), TypeError, "shape: got 3"),
        (lambda: noise.increments(1.0), ValueError, r"xi: got shape \(\)"),
        (lambda: noise.increments(np.zeros((0, 2))), ValueError, r"xi: got shape \(0, 2\)"),
        (lambda: noise.increments(np.zeros(2), kappa=np.nan), ValueError, "kappa: got nan"),
        (lambda: noise.increments(np.zeros(2), kappa=[1.0]), ValueError, r"kappa: got shape \(1,"),
        (lambda: noise.increments(["a", "b"]), TypeError, "xi: got values of type"),
        (lambda: jax.jit(lambda k: noise.fgn_autocovariance(k, 0.3))(1), TypeError, "lags: got a"),
        (lambda: noise.fgn_autocovariance(np.inf, 0.3), ValueError, "lags: got inf"),
        (lambda: noise.fgn_autocovariance(1, [0.1, 0.2]), ValueError, r"hurst: got \[0.1, 0.2\]"),
        (lambda: noise.fgn_autocovariance(1, 1.1), ValueError, "hurst: got 1.1"),
        (lambda: noise.fgn_autocovariance(1, np.nan), ValueError, "hurst: got nan"),
        (lambda: noise.fgn_autocovariance(0.5, 0.3), ValueError, "lags: got 0.5"),
        (lambda: noise.fgn_spectrum(0, 0.3), ValueError, "n_steps: got 0"),
        (lambda: noise.fgn_spectrum(3.0, 0.3), TypeError, "n_steps: got 3.0"),
        (lambda: noise.fgn_spectrum(3, -0.1), ValueError, "hurst: got -0.1"),
        (lambda: jax.jit(lambda h: noise.fgn_spectrum(3, h))(0.3), TypeError, "hurst: got a trac"),
        (lambda: noise.fractional_gaussian_noise(KEY, 3), ValueError, "got none of them"),
        (
            lambda: noise.fractional_gaussian_noise(KEY, 3, hurst=0.1, spectrum=np.ones(4)),
            ValueError,
            "got both",
        ),
        (
            lambda: noise.fractional_gaussian_noise(KEY, 3, spectrum=np.ones(3)),
            ValueError,
            r"spectrum: got shape \(3,\)",
        ),
        (
            lambda: noise.fractional_gaussian_noise(KEY, 3, hurst=0.1, dtype=complex),
            TypeError,
            "dtype: got complex",
        ),
        (
            lambda: noise.fractional_gaussian_noise(KEY, 2, spectrum=[1.0, np.nan, 1.0]),
            ValueError,
            r"spectrum: got nan at index \[1\]",
        ),
        (
            lambda: noise.fractional_gaussian_noise(KEY, 3, hurst=0.1, dtype=jnp.float16),
            TypeError,
            "dtype: got float16",
        ),
        (
            lambda: noise.fractional_gaussian_noise(KEY, 3, hurst=0.1, shape=2),
            TypeError,
            "shape: got 2",
        ),
        (lambda: noise.fractional_gaussian_noise(KEY, 0, hurst=0.1), ValueError, "n_steps: got 0"),
        (lambda: noise.prefix_root(0), ValueError, "n: got 0"),
    ],
)
def test_bad_arguments_are_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "uint64"])
def test_the_written_out_threefry_draws_the_words_of_jax(dtype: str) -> None:
    quick = noise._quick(KEY, 105)
    if jax.default_backend() == "cpu" and jax.config.jax_threefry_partitionable:
        assert str(jax.random.key_impl(quick)) != str(jax.random.key_impl(KEY))
    with jax.enable_x64(True):
        expected = jax.random.bits(KEY, (3, 5, 7), dtype)
        np.testing.assert_array_equal(jax.random.bits(quick, (3, 5, 7), dtype), expected)
    assert noise._quick(KEY, 2**32) is KEY
    other = jax.random.key(0, impl="rbg")
    assert noise._quick(other, 3) is other
