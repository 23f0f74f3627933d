"""JAX functions as JavaScript: traced once, written as plain loops over typed arrays.

:func:`translate` traces a function with :func:`jax.make_jaxpr` and writes each equation of that by
a rule: one primitive, one rule, in the modules of this package. Shapes are static, so every buffer
is made once and a call allocates nothing; float64 is JavaScript's own number, so results agree with
JAX to rounding, and random words to the bit. What has no rule is refused, naming the
primitive and the line of the function; nothing is guessed.

The package knows nothing of figures or books.
"""

from optdyn.javascript.program import Leaf, Program, translate
from optdyn.javascript.translator import Untranslatable

__all__ = ["Leaf", "Program", "Untranslatable", "translate"]
