"""Noise with and without memory: white, its increments, and fractional Gaussian noise.

White noise is drawn by JAX from a key. Covariances and spectra of noise with memory are computed on
the host in float64: their differences and Fourier transforms lose everything in float32.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.random import define_prng_impl, threefry_prng_impl
from jax.typing import ArrayLike, DTypeLike
from numpy.typing import NDArray

from optdyn import arguments

Floats = NDArray[np.float64]
KINDS = ("gaussian", "rademacher")
TERMS = 28  # of the series of the autocovariance: at lag 2 each is a quarter of the one before


def white_noise(
    key: ArrayLike,
    shape: tuple[int, ...],
    *,
    sigma: ArrayLike = 1.0,
    kind: str = "gaussian",
    dtype: DTypeLike | None = None,
) -> Array:
    """Independent noise of mean 0 and standard deviation sigma.

    kind "gaussian": N(0, sigma^2); "rademacher": +sigma or -sigma with equal chances, 32 of them
    from one random word.

    Args: key, a JAX key; shape, static; sigma, scalar, 0 or more; dtype, a floating type (default:
        the one JAX computes in; the numbers drawn depend on it).
    Returns: an array of that shape. [t] in key and sigma.
    Raises: TypeError or ValueError naming the argument.
    Source: the two laws of Orvieto et al., arXiv 2202.02831.

    >>> white_noise(jax.random.key(0), (4,), sigma=2.0, kind="rademacher").tolist()
    [2.0, 2.0, 2.0, -2.0]
    """
    if kind not in KINDS:
        raise ValueError(
            f"kind: got {kind!r}, 'gaussian' or 'rademacher' is needed; 'rademacher' is cheaper."
        )
    sizes = _shape("shape", shape)
    number = arguments.real("sigma", sigma)
    if number.ndim or (not arguments.is_traced(number) and number < 0):
        raise ValueError(
            f"sigma: got {sigma!r}, one number that is 0 or more is needed; multiply the noise of "
            f"sigma=1 by an array for one deviation a coordinate."
        )
    real = _floating(dtype)
    if kind == "gaussian":
        drawn = jax.random.normal(key, sizes, real)
    else:
        count = math.prod(sizes)
        words = jax.random.bits(key, (-(-count // 32),), jnp.uint32)
        bits = (words[:, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
        drawn = 2 * bits.reshape(-1)[:count].reshape(sizes).astype(real) - 1
    return jnp.asarray(number, real) * drawn


def increments(xi: ArrayLike, *, kappa: ArrayLike = 1.0) -> Array:
    """The kicks of kappa-PGD: what is new, less a share of what was there.

    xi[1:] - kappa * xi[:-1]; kappa = 1: differences, with correlation -1/2 between neighbours;
    kappa = 0: xi[1:].

    Args: xi, shape (n + 1, ...), time first; kappa, a finite scalar.
    Returns: shape (n, ...). [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto et al., arXiv 2202.02831, for kappa = 1.

    >>> increments(jnp.array([1.0, -1.0, 1.0])).tolist()
    [-2.0, 2.0]
    """
    arguments.real("xi", xi, finite=False)
    noise = jnp.asarray(xi, arguments.precision(xi))
    if noise.ndim == 0 or len(noise) == 0:
        raise ValueError(
            f"xi: got shape {noise.shape}, (n + 1, ...) is needed, time first; draw one more value "
            f"than there are steps."
        )
    share = arguments.real("kappa", kappa)
    if share.ndim:
        raise ValueError(
            f"kappa: got shape {share.shape}, one number is needed; map over several with jax.vmap."
        )
    return noise[1:] - jnp.asarray(share, noise.dtype) * noise[:-1]


def fgn_autocovariance(lags: ArrayLike, hurst: float) -> Floats:
    """Autocovariance of unit fractional Gaussian noise.

    r(k) = (|k + 1|^2H - 2 |k|^2H + |k - 1|^2H) / 2; at H = 0 the limit 1, -1/2, 0, 0, ..., which is
    Anti-PGD's. The differences cancel, so r(1) = 2^(2H - 1) - 1 is formed by expm1, and r(k) for
    k >= 2 as k^2H sum over j >= 1 of binom(2H, 2j) k^-2j.

    Args: lags, whole numbers of any shape and sign; hurst, in [0, 1].
    Returns: float64, shape of lags, to about 14 digits. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Mandelbrot and Van Ness, SIAM Review 10 (1968).

    >>> fgn_autocovariance([0, 1, 2], 0.0)
    array([ 1. , -0.5,  0. ])
    >>> fgn_autocovariance([0, 1, 2], 0.5)
    array([1., 0., 0.])
    """
    power = 2 * _hurst(hurst)
    arguments.not_traced(lags=lags)
    k = np.abs(np.asarray(arguments.real("lags", lags), float))
    if (k != np.round(k)).any():
        raise ValueError(
            f"lags: got {k[k != np.round(k)].flat[0]}, whole numbers are needed; round them."
        )

    # binom(p, 2j) is the one before times (p - (2j - 2)) (p - (2j - 1)) / ((2j - 1) 2j)
    ratios = [
        (power - 2 * j) * (power - 2 * j - 1) / ((2 * j + 1) * (2 * j + 2)) for j in range(TERMS)
    ]
    far = np.maximum(k, 2)
    series = np.zeros_like(k)
    for ratio in reversed(ratios):
        series = ratio * (1 + series) / far**2
    near = np.where(k == 0, 1.0, math.expm1((power - 1) * math.log(2)))
    return np.where(k < 2, near, far**power * series + 0.0)  # no -0 at H = 0


def fgn_spectrum(n_steps: int, hurst: float) -> Floats:
    """Square roots of the eigenvalues of the circulant that embeds the noise's covariance.

    lambda_j = sum over |k| <= n of r(k) exp(-i pi j k / n), j = 0..n (k = n once); none is
    negative, for any H. lambda_0 = ((n + 1)^2H - (n - 1)^2H) / 2 is put in exactly.

    Args: n_steps, at least 1; hurst, in [0, 1].
    Returns: float64, (n_steps + 1,), to be handed to `fractional_gaussian_noise`. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Davies and Harte, Biometrika 74 (1987); that none is negative: Dietrich and Newsam
        (1997) for H >= 1/2, Craigmile (2003) below; lambda_0: derived in chapters/noise.

    >>> fgn_spectrum(4, 0.5)
    array([1., 1., 1., 1., 1.])
    """
    n = arguments.count("n_steps", n_steps)
    power = 2 * _hurst(hurst)
    r = fgn_autocovariance(np.arange(n + 1), hurst)
    eigenvalues = np.fft.rfft(np.concatenate([r, r[-2:0:-1]])).real
    # (n + 1)^p - (n - 1)^p without cancellation; at n = 1 the second is 0, also for p = 0
    low = (n - 1.0) ** power if n > 1 else 0.0
    growth = np.expm1(power * np.log1p(2 / (n - 1))) if n > 1 else 2.0**power
    eigenvalues[0] = (low if n > 1 else 1.0) * growth / 2
    assert eigenvalues.min() > -1e-9 * eigenvalues.max()
    return np.sqrt(np.maximum(eigenvalues, 0))


def fractional_gaussian_noise(
    key: ArrayLike,
    n_steps: int,
    *,
    hurst: float | None = None,
    spectrum: ArrayLike | None = None,
    shape: tuple[int, ...] = (),
    dtype: DTypeLike | None = None,
) -> Array:
    """Stationary Gaussian noise of unit variance with long memory, exact in law.

    The first n of 2n values of a periodic process: the inverse Fourier transform of independent
    normal coefficients times `fgn_spectrum`. hurst = 1/2 is white noise; 0 has the law of
    (xi_{n+1} - xi_n) / sqrt 2, the kicks of Anti-PGD. The same key gives paths that change smoothly
    with hurst.

    Args: key, a JAX key; n_steps, static, at least 1; either hurst, in [0, 1], or spectrum,
        (n_steps + 1,), from `fgn_spectrum`, traced, so that another one does not recompile; shape,
        of independent copies; dtype, a floating type.
    Returns: (n_steps, *shape). [t] with spectrum.
    Raises: TypeError or ValueError naming the argument.
    Source: Davies and Harte, Biometrika 74 (1987).

    >>> fractional_gaussian_noise(jax.random.key(0), 100, hurst=0.25, shape=(3,)).shape
    (100, 3)
    """
    n = arguments.count("n_steps", n_steps)
    if (hurst is None) == (spectrum is None):
        raise ValueError(
            f"hurst, spectrum: got {'none of them' if hurst is None else 'both'}, exactly one "
            f"is needed; pass spectrum=fgn_spectrum(n_steps, hurst) where hurst changes often."
        )
    sizes, real = _shape("shape", shape), _floating(dtype)
    if real not in (jnp.float32, jnp.float64):
        raise TypeError(
            f"dtype: got {np.dtype(real)}, float32 or float64 is needed, for there are no Fourier "
            f"transforms of others; convert what is returned."
        )
    roots = fgn_spectrum(n, hurst) if hurst is not None else arguments.real("spectrum", spectrum)
    if roots.shape != (n + 1,):
        raise ValueError(
            f"spectrum: got shape {roots.shape}, ({n + 1},) is needed for {n} steps; "
            f"pass fgn_spectrum({n}, hurst)."
        )
    # two programs: in one, XLA draws on a CPU at half the speed
    normal = _normal(_quick(key, 2 * math.prod(sizes) * (n + 1)), (2, *sizes, n + 1), real)
    path: Array = _circulant(normal, jnp.asarray(roots, real))
    return path


_normal = jax.jit(jax.random.normal, static_argnums=(1, 2))


def _quick(key: Any, count: int) -> Any:
    """The same key, from which a CPU draws the same words several times as fast.

    JAX's own threefry is a loop on a CPU, which reads and writes all words in each of its five
    turns. Written out, XLA makes one pass of it and of what follows. Where that does not apply (a
    traced key, another generator or device, more words than a counter of 32 bits) key is returned.
    """
    if arguments.is_traced(key) or jax.default_backend() != "cpu" or count >= 2**32:
        return key
    if not jnp.issubdtype(jnp.result_type(key), jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    partitionable = jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    if not partitionable or str(jax.random.key_impl(key)) != "threefry2x32":
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_WRITTEN_OUT)


def _threefry_words(key: Array, bit_width: int, shape: tuple[int, ...]) -> Array:
    """Threefry 2x32 of 20 rounds (Salmon et al., 2011) of the counters 0, 1, ...; 32 or 64 bits."""
    a, b = key
    keys = (a, b, a ^ b ^ np.uint32(0x1BD11BDA))
    y = lax.iota(jnp.uint32, math.prod(shape)).reshape(shape) + b
    x = jnp.full_like(y, a)
    for turn in range(5):
        for shift in ((13, 15, 26, 6), (17, 29, 16, 24))[turn % 2]:
            x = x + y
            y = x ^ ((y << np.uint32(shift)) | (y >> np.uint32(32 - shift)))
        x, y = x + keys[(turn + 1) % 3], y + keys[(turn + 2) % 3] + np.uint32(turn + 1)
    words: Array = (x ^ y).astype(f"uint{min(bit_width, 32)}")
    if bit_width == 64:
        words = (x.astype(jnp.uint64) << np.uint64(32)) | y.astype(jnp.uint64)
    return words


_WRITTEN_OUT = define_prng_impl(
    key_shape=(2,),
    seed=threefry_prng_impl.seed,
    split=threefry_prng_impl.split,
    random_bits=_threefry_words,
    fold_in=threefry_prng_impl.fold_in,
    name="optdyn_threefry2x32",
    tag="ot",
)


@jax.jit
def _circulant(normal: Array, roots: Array) -> Array:
    # coefficients 0 and n are real and twice as large; their imaginary parts are not read
    n = len(roots) - 1
    size = np.full(n + 1, math.sqrt(n))
    size[[0, n]] *= math.sqrt(2)
    scale = jnp.asarray(size, roots.dtype) * roots
    path = jnp.fft.irfft(lax.complex(scale * normal[0], scale * normal[1]), 2 * n)[..., :n]
    return jnp.moveaxis(path, -1, 0)


def prefix_root(n: int) -> tuple[Floats, Floats]:
    """The square root of the prefix sum, and its inverse: a half sum and a half difference.

    f_k = binom(2k, k) / 4^k: 1, 1/2, 3/8, ...; g_k: 1, -1/2, -1/8, ...; the triangular Toeplitz
    matrices F, G of first columns f, g have F F = (ones below and on the diagonal) and F G = I.

    Args: n, at least 1.
    Returns: f and g, each (n,), float64. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Fichtenberger, Henzinger and Upadhyay (2023); (1 - x)^(-1/2) and (1 - x)^(1/2).

    >>> prefix_root(3)
    (array([1.   , 0.5  , 0.375]), array([ 1.   , -0.5  , -0.125]))
    """
    k = np.arange(1, arguments.count("n", n))
    return (
        np.cumprod(np.concatenate([[1.0], (2 * k - 1) / (2 * k)])),
        np.cumprod(np.concatenate([[1.0], (k - 1.5) / k])),
    )


def _shape(name: str, shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple | list):
        raise TypeError(
            f"{name}: got {shape!r}, a tuple of sizes is needed; pass one such as (3,)."
        )
    return tuple(arguments.count(name, size, least=0) for size in shape)


def _floating(dtype: Any) -> Any:
    if dtype is None:
        return jnp.result_type(float)
    try:
        real = jax.dtypes.canonicalize_dtype(dtype)
        known = jnp.issubdtype(real, jnp.floating)
    except TypeError:
        real, known = dtype, False
    if not known:
        raise TypeError(f"dtype: got {real}, a floating type is needed; pass jnp.float32.")
    return real


def _hurst(hurst: Any) -> float:
    arguments.not_traced(hurst=hurst)
    number = arguments.real("hurst", hurst, finite=False)
    if number.ndim or not 0 <= number <= 1:
        raise ValueError(
            f"hurst: got {hurst!r}, one number in [0, 1] is needed; 0 is Anti-PGD, 0.5 is white."
        )
    return float(number)
