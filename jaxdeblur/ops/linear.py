"""Linear maps whose transpose we write ourselves.

`jax.custom_vjp` does the same for reverse mode, but forbids forward mode
(`jax.jvp`). `jax.custom_derivatives.linear_call` has neither a rule for
`jax.vmap`, which `jax.jacrev` needs, nor one for second derivatives.
"""

from collections.abc import Callable, Sequence

import jax
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir
import jax.numpy as jnp

Map = Callable[..., Sequence[jax.Array]]


def apply_linear(
    function: Map,
    transpose: Map,
    saved: Sequence[jax.Array],
    x: Sequence[jax.Array],
) -> list[jax.Array]:
  """Applies a linear map, for which JAX uses the given transpose.

  Args:
    function: maps (*saved, *x) to arrays, linear in x. If `saved` is
      differentiated, JAX differentiates this function directly.
    transpose: maps (*saved, *cotangents) to arrays like x; the cotangents are
      like the results.
    saved: constants that both need.
    x: the arrays to map.

  Returns:
    function(*saved, *x).
  """
  return _linear.bind(
      *saved, *x, call=jax.make_jaxpr(function)(*saved, *x),
      transpose=transpose, number_saved=len(saved))


_linear = Primitive('linear')
_linear.multiple_results = True


@_linear.def_impl
def _apply(*args, call, transpose, number_saved):
  del transpose, number_saved
  return jaxpr_as_fun(call)(*args)


@_linear.def_abstract_eval
def _result_types(*args, call, transpose, number_saved):
  del args, transpose, number_saved
  return call.out_avals


def _differentiate(primals, tangents, **params):
  number, function = params['number_saved'], jaxpr_as_fun(params['call'])
  saved, x = primals[:number], primals[number:]
  to_saved, to_x = tangents[:number], tangents[number:]
  out = _linear.bind(*primals, **params)
  slopes = None
  if not all(isinstance(tangent, ad.Zero) for tangent in to_x):
    slopes = _linear.bind(
        *saved, *map(ad.instantiate_zeros, to_x), **params)
  if not all(isinstance(tangent, ad.Zero) for tangent in to_saved):
    _, others = jax.jvp(
        lambda *saved: function(*saved, *x), saved,
        tuple(map(ad.instantiate_zeros, to_saved)))
    slopes = (others if slopes is None
              else [sum(pair) for pair in zip(slopes, others, strict=True)])
  return out, slopes


def _transpose(cotangents, *args, call, transpose, number_saved):
  saved, x = args[:number_saved], args[number_saved:]
  gradients = apply_linear(
      transpose, jaxpr_as_fun(call), saved,
      [ad.instantiate_zeros(cotangent) for cotangent in cotangents])
  return [None] * number_saved + [
      gradient if ad.is_undefined_primal(input_) else None
      for gradient, input_ in zip(gradients, x, strict=True)]


def _batch(args, axes, *, call, transpose, number_saved):
  """Batches all of x, since the batched transpose returns all of it."""
  size, = {arg.shape[axis] for arg, axis in zip(args, axes)
           if axis is not None}
  saved, x = args[:number_saved], [
      jnp.broadcast_to(arg, (size, *arg.shape)) if axis is None
      else jnp.moveaxis(arg, axis, 0)
      for arg, axis in zip(args[number_saved:], axes[number_saved:])]
  saved_axes = tuple(axes[:number_saved])

  def batch(function, number):
    return jax.vmap(function, in_axes=saved_axes + (0,) * number)

  out = apply_linear(
      batch(jaxpr_as_fun(call), len(x)),
      batch(transpose, len(call.out_avals)), saved, x)
  return out, [0] * len(out)


ad.primitive_jvps[_linear] = _differentiate
ad.primitive_transposes[_linear] = _transpose
batching.primitive_batchers[_linear] = _batch
mlir.register_lowering(_linear, mlir.lower_fun(_apply, multiple_results=True))
