import type { BackendSpec } from '../backend.js';
import { matmulTerms } from '../ops/matmulOperands.js';
import type { MatmulAttrs } from '../ops/matmulOperands.js';
import { countBindings } from './bindings.js';
import { inPlacePairs } from './inPlace.js';
import type { Instruction, Value } from './program.js';
import { isFree, laySideBySide } from './sideBySide.js';

/**
 * Whether the backend has a kernel for a matmul as some pass wants it, and binds all its operands. Where they would be
 * too many, those that live equally long come to lie side by side: the low-rank parts' left operands, then the smaller
 * ones of the products' own. Partial sums always do. What is written over an operand that dies here (`dying`) takes no
 * binding.
 */
export function bindProduct(
  instruction: Instruction,
  spec: BackendSpec,
  dying: (value: Value) => boolean = () => false,
): boolean {
  const { attrs, inputs } = instruction;
  const specs = inputs.map((input) => input.spec);
  if (spec.fusion.product?.(specs, attrs) !== true) return false;
  const over = inPlacePairs(instruction).flatMap(([from, to]) => {
    const { [from]: input } = inputs;
    return input?.whole === true && dying(input) ? [to] : [];
  });
  const written = instruction.outputs.filter((_, at) => !over.includes(at));
  const terms = matmulTerms(inputs, attrs as MatmulAttrs);
  const thin = joinable(terms.map(({ h }) => h));
  const largest = Math.max(...terms.map(({ a }) => a?.bytes ?? 0));
  const small = joinable(terms.map(({ a }) => (a === undefined || 2 * a.bytes > largest ? undefined : a)));
  const parts = (attrs as MatmulAttrs).parts ?? [];
  const sums = joinable(instruction.outputs.slice(instruction.outputs.length - parts.length));
  for (const slabs of [[sums], [sums, thin], [sums, thin, small]]) {
    const apart = [...inputs, ...written].filter(({ root }) => !slabs.flat().includes(root));
    if (countBindings(apart) + slabs.filter(({ length }) => length > 0).length > spec.maxOperands) continue;
    slabs.filter(({ length }) => length > 1).forEach((values) => laySideBySide(values, spec));
    return true;
  }
  return false;
}

/** The storages of what may lie side by side as one binding; none where they are of several kinds. */
function joinable(values: readonly (Value | undefined)[]): readonly Value[] {
  const free = values.flatMap((value) => (value !== undefined && isFree(value) ? [value.root] : []));
  const roots = [...new Set(free)];
  return new Set(roots.map(({ spec }) => `${spec.dtype} ${(spec.shape.at(-1) ?? 1) % 4 === 0}`)).size > 1 ? [] : roots;
}
