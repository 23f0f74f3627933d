// Functions that translated programs call. A program carries those that it names, and those that they
// name, found by text: a function begins with `function name(` at the start of a line and ends with the
// next line that is a closing brace; a constant is one statement. No name here is used for anything else.

// ---- Rounding, integers, conversions -------------------------------------------------------------------

// x rounded to an integer, ties to even; -0, NaN and infinities stay. 2^52 pushes the fraction out.
function round_even(x) {
  const size = Math.abs(x);
  if (!(size > 0 && size < 4503599627370496)) return x;
  const rounded = size + 4503599627370496 - 4503599627370496;
  return x < 0 ? -rounded : rounded;
}

// x rounded to an integer, ties away from zero; -0, NaN and infinities stay.
function round_away(x) {
  const down = Math.trunc(x);
  if (Math.abs(x - down) >= 0.5) return x < 0 ? down - 1 : down + 1;
  return down;
}

// x ** y with C's corners where JavaScript has NaN: 1 ** NaN, 1 ** Infinity and (-1) ** Infinity are 1.
function power(x, y) {
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1;
  return Math.pow(x, y);
}

// x ** n for an integer n by repeated squaring, in the order of JAX; n < 0: the reciprocal of x ** -n.
function integer_power(x, n) {
  let product = 1;
  for (let left = Math.abs(n); left > 0; ) {
    if (left & 1) product *= x;
    left >>>= 1;
    if (left > 0) x *= x;
  }
  return n < 0 ? 1 / product : product;
}

// a / b of integers, truncated; a / 0 is -1, as XLA has it. Adding 0 makes 0 of -0.
function quotient(a, b) {
  return b === 0 ? -1 : Math.trunc(a / b) + 0;
}

// a / b of integers from 0 to 2^32 - 1, truncated; a / 0 has all bits set, as XLA has it.
function quotient_unsigned(a, b) {
  return b === 0 ? 4294967295 : Math.floor(a / b);
}

// What is left of a after division by b, with the sign of a; all of it if b is 0, as XLA has it.
function remainder(a, b) {
  return b === 0 ? a : (a % b) + 0;
}

// A float as int32: truncated, the nearest there is where it does not fit, NaN to 0 (XLA on a CPU).
function to_int32(x) {
  return x >= 2147483647 ? 2147483647 : x <= -2147483648 ? -2147483648 : x | 0;
}

// A float as uint32: truncated, the nearest there is where it does not fit, NaN to 0 (XLA on a CPU).
function to_uint32(x) {
  return x >= 4294967295 ? 4294967295 : x > 0 ? x >>> 0 : 0;
}

// A float as int64, kept in a double: truncated, the nearest there is where it does not fit, NaN to 0.
function to_int64(x) {
  if (x !== x) return 0;
  return Math.max(-9223372036854775808, Math.min(9223372036854775808, Math.trunc(x) + 0));
}

// x, a 64-bit integer kept in a double: refused where a double no longer holds every integer.
function whole(x) {
  if (!(Math.abs(x) < 9007199254740992)) {
    throw new RangeError("a whole number passed 2^53, where a double no longer holds every integer: " + x);
  }
  return x;
}

// ---- Bits ------------------------------------------------------------------------------------------------

const float_view = new Float32Array(1);

const float_words = new Uint32Array(float_view.buffer);

// The bits of x rounded to float32, as uint32.
function float_bits(x) {
  float_view[0] = x;
  return float_words[0];
}

// The float32 whose bits are u.
function bits_float(u) {
  float_words[0] = u;
  return float_view[0];
}

const double_view = new Float64Array(1);

const double_words = new Uint32Array(double_view.buffer);

// The upper 32 bits of a double, as uint32 (typed arrays are little-endian wherever a browser runs).
function double_high(x) {
  double_view[0] = x;
  return double_words[1];
}

// The lower 32 bits of a double, as uint32.
function double_low(x) {
  double_view[0] = x;
  return double_words[0];
}

// The double whose upper and lower 32 bits are given.
function bits_double(high, low) {
  double_words[1] = high;
  double_words[0] = low;
  return double_view[0];
}

// ---- Random words ----------------------------------------------------------------------------------------

// One block of Threefry-2x32 with 20 rounds: counter (x0, x1) under key (k0, k1) to out[at], out[at + 1].
// J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3 (2011).
function threefry(k0, k1, x0, x1, out, at) {
  let a = k0 | 0;
  let b = k1 | 0;
  let c = a ^ b ^ 0x1bd11bda;
  x0 = (x0 + a) | 0;
  x1 = (x1 + b) | 0;
  for (let turn = 1; turn <= 5; turn++) {
    if (turn & 1) {
      x0 = (x0 + x1) | 0, x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
      x0 = (x0 + x1) | 0, x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
      x0 = (x0 + x1) | 0, x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
      x0 = (x0 + x1) | 0, x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
    } else {
      x0 = (x0 + x1) | 0, x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
      x0 = (x0 + x1) | 0, x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
      x0 = (x0 + x1) | 0, x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
      x0 = (x0 + x1) | 0, x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
    }
    const first = a;
    a = b;
    b = c;
    c = first;
    x0 = (x0 + a) | 0;
    x1 = (x1 + b + turn) | 0;
  }
  out[at] = x0;
  out[at + 1] = x1;
}

const random_block = new Uint32Array(2);

// The n 32-bit words of jax.random.bits (partitionable counters): the xor of both halves of block (0, i).
function random_words(k0, k1, n, out, at) {
  for (let i = 0; i < n; i++) {
    threefry(k0, k1, 0, i, random_block, 0);
    out[at + i] = random_block[0] ^ random_block[1];
  }
}

// The n 64-bit words of jax.random.bits (partitionable counters): the halves of block (0, i).
function random_words_64(k0, k1, n, high, low, at) {
  for (let i = 0; i < n; i++) {
    threefry(k0, k1, 0, i, random_block, 0);
    high[at + i] = random_block[0];
    low[at + i] = random_block[1];
  }
}

// ---- Special functions -----------------------------------------------------------------------------------

// The polynomial in x with these coefficients, the constant one first.
function horner(coefficients, x) {
  let sum = 0;
  for (let k = coefficients.length - 1; k >= 0; k--) sum = sum * x + coefficients[k];
  return sum;
}

// Taylor series at 0: 2 / sqrt(pi) * (-1)^k / (k! (2k + 1)) of x^(2k + 1).
const error_near = [
  1.1283791670955126, -0.37612638903183754, 0.11283791670955126, -0.026866170645131252,
  0.005223977625442188, -0.0008548327023450853, 0.00012055332981789664, -0.00001492565035840625,
  0.0000016462114365889248, -1.6365844691234924e-7, 1.4807192815879218e-8, -1.2290555301717928e-9,
  9.422759064650411e-11,
];

// (x + 3) exp(x^2) times the upper tail at x >= 1/2, in t = 1 - 7 / (x + 3): Chebyshev series, as powers.
const error_far = [
  0.9589962033754297, -0.6277955952806215, 0.3460562090899474, -0.15596654978029198, 0.0541319082496085,
  -0.012338549339293858, 0.000575279902887478, 0.0007631143558469824, -0.00023152726656230457,
  -0.00002528629358207439, 0.000027642784811204553, -6.858062729764738e-7, -0.0000031790388431884694,
  2.7801976897934924e-7, 4.0843464428918565e-7, -3.9936462837542005e-8, -5.9387617561080265e-8,
  3.5659347723468817e-9, 9.106288412622764e-9, -3.900054625217945e-11, -1.2429471011437762e-9,
  -2.976714047197926e-11, 1.0385156848625515e-10,
];

// The upper tail of the error function, for x >= 1/2. exp(-x^2) goes by h, x to 24 bits: its square is exact.
// The form is that of M. M. Shepherd, J. G. Laframboise, Mathematics of Computation 36 (1981) 249-253.
function error_tail(x) {
  if (x > 28) return 0;
  const h = Math.fround(x);
  const d = (x - h) * (x + h);
  const gauss = Math.exp(-h * h) * (1 - d * (1 - d * (0.5 - d / 6)));
  const r = 1 / (x + 3);
  return gauss * r * horner(error_far, 1 - 7 * r);
}

// The error function: its Taylor series at 0, further out by way of the tail.
function erf(x) {
  const size = Math.abs(x);
  if (size < 0.5) return x * horner(error_near, x * x);
  if (size >= 6) return Math.sign(x);
  return x < 0 ? error_tail(-x) - 1 : 1 - error_tail(x);
}

// 1 less the error function, to full relative precision in the upper tail.
function erfc(x) {
  if (x >= 0.5) return error_tail(x);
  return x <= -0.5 ? 2 - error_tail(-x) : 1 - x * horner(error_near, x * x);
}

// The inverse of the error function in float32, by the polynomials of XLA, at most 3 ulp from it.
// Only what decides the last bits is rounded to float32, as a fused multiply and add rounds it.
// M. B. Giles, Approximating the erfinv function, GPU Computing Gems (Jade edition, 2011).
function erf_inv32(x) {
  const w = Math.fround(-Math.log(1 - Math.fround(x * x)));
  let p = 0;
  if (w < 5) {
    const v = Math.fround(w - 2.5);
    p = 2.81022636e-8;
    p = p * v + 3.43273939e-7;
    p = p * v - 0.0000035233877;
    p = p * v - 0.00000439150654;
    p = p * v + 0.00021858087;
    p = p * v - 0.00125372503;
    p = p * v - 0.00417768164;
    p = Math.fround(p * v + 0.246640727);
    p = Math.fround(p * v + 1.50140941);
  } else {
    if (w === Infinity) return x * Infinity;
    const v = Math.fround(Math.fround(Math.sqrt(w)) - 3);
    p = -0.000200214257;
    p = p * v + 0.000100950558;
    p = p * v + 0.00134934322;
    p = p * v - 0.00367342844;
    p = p * v + 0.00573950773;
    p = p * v - 0.0076224613;
    p = p * v + 0.00943887047;
    p = Math.fround(p * v + 1.00167406);
    p = Math.fround(p * v + 2.83297682);
  }
  return Math.fround(p * x);
}

// Stirling's series: B(2k) / (2k (2k - 1)) of x^(1 - 2k), B the Bernoulli numbers.
const stirling_gamma = [
  1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156,
];

// log |Gamma(x)|: recurrence up to x >= 10, Stirling's series there; x < 0 by reflection.
function lgamma(x) {
  if (x === -Infinity || (x <= 0 && x === Math.floor(x))) return Infinity;
  if (x < 0) {
    const fraction = -x - Math.floor(-x);
    return Math.log(Math.PI / Math.sin(Math.PI * Math.min(fraction, 1 - fraction))) - lgamma(1 - x);
  }
  let product = 1;
  for (; x < 10; x++) product *= x;
  const r = 1 / x;
  const large = (x - 0.5) * (Math.log(x) - 1) + 0.4189385332046727 + r * horner(stirling_gamma, r * r);
  return product === 1 ? large : large - Math.log(product);
}

// The derivative of Stirling's series: B(2k) / 2k of x^(-2k), B the Bernoulli numbers.
const stirling_digamma = [
  0, 1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12,
];

// The derivative of log Gamma(x): recurrence up to x >= 10, Stirling's series there; x < 0 by reflection.
function digamma(x) {
  if (x === -Infinity || (x <= 0 && x === Math.floor(x))) return NaN;
  if (x < 0) return digamma(-x) - 1 / x - Math.PI / Math.tan(Math.PI * (x - Math.round(x)));
  let sum = 0;
  for (; x < 10; x++) sum -= 1 / x;
  const r = 1 / x;
  return sum + (Math.log(x) - 0.5 * r - horner(stirling_digamma, r * r));
}

// ---- Linear algebra --------------------------------------------------------------------------------------

// The n rows that the exchanges in pivots[op], ... put in order: permutation[op + i], from 0, ..., n - 1.
function exchange(n, pivots, permutation, op) {
  for (let i = 0; i < n; i++) permutation[op + i] = i;
  for (let i = 0; i < n; i++) {
    const j = pivots[op + i];
    const kept = permutation[op + i];
    permutation[op + i] = permutation[op + j];
    permutation[op + j] = kept;
  }
}

// The n numbers from a[first] and those from a[second] change places.
function swap(a, first, second, n) {
  for (let j = 0; j < n; j++) {
    const kept = a[first + j];
    a[first + j] = a[second + j];
    a[second + j] = kept;
  }
}

// L U = P A in place of A, a[oa + i * n + j], by rows with partial pivoting; a pivot of 0 divides nothing.
function lu(a, oa, n, pivots, permutation, op) {
  for (let k = 0; k < n; k++) {
    const top = oa + k * n;
    let best = k;
    for (let i = k + 1; i < n; i++) {
      if (Math.abs(a[oa + i * n + k]) > Math.abs(a[oa + best * n + k])) best = i;
    }
    pivots[op + k] = best;
    if (best !== k) swap(a, top, oa + best * n, n);
    const pivot = a[top + k];
    if (pivot === 0) continue;
    for (let row = top + n; row < oa + n * n; row += n) {
      a[row + k] /= pivot;
      const factor = a[row + k];
      for (let j = k + 1; j < n; j++) a[row + j] -= factor * a[top + j];
    }
  }
  exchange(n, pivots, permutation, op);
}

// The same for complex numbers re + i im; the pivot has the largest |re| + |im|, as in LAPACK.
function lu_complex(re, im, oa, n, pivots, permutation, op) {
  for (let k = 0; k < n; k++) {
    const top = oa + k * n;
    let best = k;
    let most = Math.abs(re[top + k]) + Math.abs(im[top + k]);
    for (let i = k + 1; i < n; i++) {
      const size = Math.abs(re[oa + i * n + k]) + Math.abs(im[oa + i * n + k]);
      if (size > most) {
        best = i;
        most = size;
      }
    }
    pivots[op + k] = best;
    if (best !== k) {
      swap(re, top, oa + best * n, n);
      swap(im, top, oa + best * n, n);
    }
    if (most === 0) continue;
    const pr = re[top + k] / most;
    const pi = im[top + k] / most;
    const square = pr * pr + pi * pi;
    for (let row = top + n; row < oa + n * n; row += n) {
      const xr = re[row + k] / most;
      const xi = im[row + k] / most;
      re[row + k] = (xr * pr + xi * pi) / square;
      im[row + k] = (xi * pr - xr * pi) / square;
      const fr = re[row + k];
      const fi = im[row + k];
      for (let j = k + 1; j < n; j++) {
        re[row + j] -= fr * re[top + j] - fi * im[top + j];
        im[row + j] -= fr * im[top + j] + fi * re[top + j];
      }
    }
  }
  exchange(n, pivots, permutation, op);
}

// L L' = A in place of A, whose lower half is read, by rows; NaN throughout if A is not positive definite.
function cholesky(a, oa, n) {
  for (let i = 0; i < n; i++) {
    const row = oa + i * n;
    for (let j = 0; j <= i; j++) {
      const other = oa + j * n;
      let sum = a[row + j];
      for (let k = 0; k < j; k++) sum -= a[row + k] * a[other + k];
      if (j < i) a[row + j] = sum / a[other + j];
      else if (sum > 0) a[row + j] = Math.sqrt(sum);
      else return void a.fill(NaN, oa, oa + n * n);
    }
    for (let j = i + 1; j < n; j++) a[row + j] = 0;
  }
}

// The same for complex numbers re + i im: L times its conjugate transpose; the diagonal is taken as real.
function cholesky_complex(re, im, oa, n) {
  for (let i = 0; i < n; i++) {
    const row = oa + i * n;
    for (let j = 0; j <= i; j++) {
      const other = oa + j * n;
      let sr = re[row + j];
      let si = im[row + j];
      for (let k = 0; k < j; k++) {
        sr -= re[row + k] * re[other + k] + im[row + k] * im[other + k];
        si -= im[row + k] * re[other + k] - re[row + k] * im[other + k];
      }
      if (j < i) {
        re[row + j] = sr / re[other + j];
        im[row + j] = si / re[other + j];
      } else if (sr > 0) {
        re[row + j] = Math.sqrt(sr);
        im[row + j] = 0;
      } else {
        re.fill(NaN, oa, oa + n * n);
        im.fill(NaN, oa, oa + n * n);
        return;
      }
    }
    for (let j = i + 1; j < n; j++) re[row + j] = im[row + j] = 0;
  }
}

// Solves op(a) x = b (left, b n by m) or x op(a) = b (b m by n) in place of b; a is n by n, triangular.
// The second is the first for the transposes. With `unit` the diagonal is taken as 1, whatever stands there.
function triangular_solve(a, oa, b, ob, n, m, left, lower, transpose, unit) {
  const flip = left === transpose;
  const down = flip ? 1 : n; // from an element of the matrix that acts from the left to that below it
  const right = flip ? n : 1;
  const next = left ? m : 1; // from one unknown to the next
  const beside = left ? 1 : n;
  const forward = lower !== flip;
  for (let c = 0; c < m; c++) {
    const x = ob + c * beside;
    for (let s = 0; s < n; s++) {
      const i = forward ? s : n - 1 - s;
      const row = oa + i * down;
      const from = forward ? 0 : i + 1;
      const to = forward ? i : n;
      let sum = b[x + i * next];
      for (let j = from; j < to; j++) sum -= a[row + j * right] * b[x + j * next];
      b[x + i * next] = unit ? sum : sum / a[row + i * right];
    }
  }
}

// The same for complex numbers, re and im of a and of b; with `conjugate` a is conjugated as well.
function triangular_solve_complex(ar, ai, oa, br, bi, ob, n, m, left, lower, transpose, conjugate, unit) {
  const flip = left === transpose;
  const down = flip ? 1 : n;
  const right = flip ? n : 1;
  const next = left ? m : 1;
  const beside = left ? 1 : n;
  const forward = lower !== flip;
  const sign = conjugate ? -1 : 1;
  for (let c = 0; c < m; c++) {
    const x = ob + c * beside;
    for (let s = 0; s < n; s++) {
      const i = forward ? s : n - 1 - s;
      const row = oa + i * down;
      const from = forward ? 0 : i + 1;
      const to = forward ? i : n;
      const at = x + i * next;
      let sr = br[at];
      let si = bi[at];
      for (let j = from; j < to; j++) {
        const fr = ar[row + j * right];
        const fi = sign * ai[row + j * right];
        const xr = br[x + j * next];
        const xi = bi[x + j * next];
        sr -= fr * xr - fi * xi;
        si -= fr * xi + fi * xr;
      }
      if (!unit) {
        const dr = ar[row + i * right];
        const di = sign * ai[row + i * right];
        const size = Math.abs(dr) + Math.abs(di);
        const pr = dr / size;
        const pi = di / size;
        const square = (pr * pr + pi * pi) * size;
        const kept = sr;
        sr = (sr * pr + si * pi) / square;
        si = (si * pr - kept * pi) / square;
      }
      br[at] = sr;
      bi[at] = si;
    }
  }
}

// ---- Sorting ---------------------------------------------------------------------------------------------

// order[0], ..., order[n - 1]: the elements in ascending order, equal ones as they came, by merging runs of
// 1, 2, 4, ... `before(i, j)` says whether element i must come before element j; scratch is as long as order.
function sort_order(n, before, order, scratch) {
  for (let i = 0; i < n; i++) order[i] = i;
  for (let run = 1; run < n; run *= 2) {
    for (let start = 0; start < n; start += 2 * run) {
      const middle = Math.min(start + run, n);
      const end = Math.min(start + 2 * run, n);
      for (let i = start, left = start, right = middle; i < end; i++) {
        const first = right === end || (left < middle && !before(order[right], order[left]));
        scratch[i] = first ? order[left++] : order[right++];
      }
    }
    for (let i = 0; i < n; i++) order[i] = scratch[i];
  }
}

// Whether a comes before b in the order of IEEE 754: -0 before 0, and NaN last.
function less_in_order(a, b) {
  if (a === b) return a === 0 && 1 / a < 1 / b;
  return a < b || (b !== b && a === a);
}

// log(exp(a) + exp(b)) without overflow.
function logaddexp(a, b) {
  const larger = Math.max(a, b);
  return Math.abs(larger) === Infinity ? larger : larger + Math.log1p(Math.exp(-Math.abs(a - b)));
}

// Eigenvalues of the symmetric n x n matrix a[oa + i*n + j], ascending, into values[ov + i]; a is used up.
// Jacobi's rotations, sweep after sweep, until what is off the diagonal is below rounding.
function eigenvalues(a, oa, n, values, ov) {
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0, size = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        const square = a[oa + i * n + j] * a[oa + i * n + j];
        if (i === j) size += square;
        else off += square;
      }
    }
    if (!(off > 1e-34 * (size + off))) break;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const pq = a[oa + q * n + p];
        if (pq === 0) continue;
        const half = (a[oa + q * n + q] - a[oa + p * n + p]) / (2 * pq);
        const t = (half < 0 ? -1 : 1) / (Math.abs(half) + Math.sqrt(half * half + 1));
        const c = 1 / Math.sqrt(t * t + 1), s = t * c;
        for (let k = 0; k < n; k++) {
          if (k === p || k === q) continue;
          const kp = k < p ? oa + p * n + k : oa + k * n + p; // only the lower triangle is kept
          const kq = k < q ? oa + q * n + k : oa + k * n + q;
          const x = a[kp], y = a[kq];
          a[kp] = c * x - s * y;
          a[kq] = s * x + c * y;
        }
        a[oa + p * n + p] -= t * pq;
        a[oa + q * n + q] += t * pq;
        a[oa + q * n + p] = 0;
      }
    }
  }
  for (let i = 0; i < n; i++) {
    const value = a[oa + i * n + i];
    let j = i;
    for (; j > 0 && values[ov + j - 1] > value; j--) values[ov + j] = values[ov + j - 1];
    values[ov + j] = value;
  }
}

// |x + iy|; by Math.hypot, which is slower, where the squares would leave the range of doubles.
function modulus(x, y) {
  const square = x * x + y * y;
  if (square > 1e-290 && square < 1e300) return Math.sqrt(square);
  return x !== x || y !== y ? NaN : Math.hypot(x, y);
}
