import type { ElementwiseAttrs } from '../ops/elementwise.js';
import { matmulOp } from '../ops/matmul.js';
import { matmulOperands, matmulSizes } from '../ops/matmulOperands.js';
import type { MatmulAttrs } from '../ops/matmulOperands.js';
import { sameShape } from '../shape.js';
import type { Instruction, Program, Value } from './program.js';
import { countUses, viewOf } from './program.js';

/** Above this inner size a second product is no epilogue but a product in its own right. */
const maxRank = 128;

/**
 * Takes additions into matmul: `a·b + h·u` with a short inner size becomes the low-rank epilogue (a LoRA layer forward,
 * and its dX), and `a·b + c` becomes the addend (a residual, a bias, a sum of gradients). The sum is then computed
 * where the product is written.
 */
export function fuseMatmul(program: Program): void {
  const uses = countUses(program);
  const producers = new Map<Value, Instruction>();
  const gone = new Set<Instruction>();
  for (const instruction of program.instructions) {
    const sum = asSum(instruction);
    const fused = sum === undefined ? undefined : fuseSum(sum, { producers, uses });
    if (fused !== undefined) {
      fused.absorbed.forEach((old) => gone.add(old));
      Object.assign(instruction, { op: matmulOp, attrs: fused.attrs, inputs: fused.inputs });
      const [output] = instruction.outputs;
      const product = output === undefined ? undefined : reshaped(instruction, output);
      if (product !== undefined) instruction.outputs = [product];
    }
    for (const output of instruction.outputs) producers.set(output.root, instruction);
  }
  program.instructions = program.instructions.filter((instruction) => !gone.has(instruction));
}

interface Graph {
  readonly producers: ReadonlyMap<Value, Instruction>;
  readonly uses: ReadonlyMap<Value, number>;
}

interface Fused {
  attrs: MatmulAttrs;
  inputs: Value[];
  absorbed: Instruction[];
}

function asSum({ op, attrs, inputs, outputs }: Instruction): { left: Value; right: Value; out: Value } | undefined {
  if (op.name !== 'elementwise' || inputs.length !== 2) return undefined;
  const { program } = attrs as ElementwiseAttrs;
  const [left, right] = inputs;
  const [out] = outputs;
  const [only] = program;
  if (program.length !== 1 || only?.fn !== 'add' || left === undefined || right === undefined || out === undefined)
    return undefined;
  return { left, right, out };
}

function fuseSum({ left, right, out }: { left: Value; right: Value; out: Value }, graph: Graph): Fused | undefined {
  const candidates = [left, right].map((value) =>
    sameShape(value.spec.shape, out.spec.shape) ? soleProduct(value, graph) : undefined,
  );
  const [a, b] = candidates;
  if (a !== undefined && b !== undefined) {
    const joined = joinLowRank(a, b) ?? joinLowRank(b, a);
    if (joined !== undefined) return joined;
  }
  // With two products the addend goes to the one that may still become another's low-rank part.
  const order = a !== undefined && b !== undefined && rankOf(b) < rankOf(a) ? [1, 0] : [0, 1];
  for (const at of order) {
    const product = candidates[at];
    const other = at === 0 ? right : left;
    if (product === undefined || (product.attrs as MatmulAttrs).addend !== undefined || other.spec.dtype !== 'f32')
      continue;
    const kind = addendKind(product, other, out);
    if (kind !== undefined)
      return {
        attrs: { ...(product.attrs as MatmulAttrs), addend: kind },
        inputs: withAddend(product, other),
        absorbed: [product],
      };
  }
  return undefined;
}

/** The addend's place is before the scale. */
function withAddend({ inputs, attrs }: Instruction, addend: Value): Value[] {
  const before = (attrs as MatmulAttrs).scaled === true ? -1 : inputs.length;
  return [...inputs.slice(0, before), addend, ...inputs.slice(before)];
}

function addendKind(product: Instruction, addend: Value, out: Value): 'full' | 'row' | undefined {
  if (sameShape(addend.spec.shape, out.spec.shape)) return 'full';
  const [columns] = product.outputs[0]?.spec.shape.slice(-1) ?? [];
  return addend.spec.shape.length === 1 &&
    addend.spec.shape[0] === columns &&
    columns !== 1 &&
    out.spec.shape.at(-1) === columns
    ? 'row'
    : undefined;
}

/** The matmul that made `value`, if nobody else reads its result. */
function soleProduct(value: Value, { producers, uses }: Graph): Instruction | undefined {
  const producer = producers.get(value.root);
  return producer?.op.name === 'matmul' && value.whole && uses.get(value.root) === 1 ? producer : undefined;
}

function rankOf({ inputs, attrs }: Instruction): number {
  const sizes = matmulSizes(
    inputs.map(({ spec }) => spec),
    attrs as MatmulAttrs,
  );
  return (attrs as MatmulAttrs).lowRank === undefined ? sizes.k : Infinity;
}

/** main + small as one product, when small is a thin product that fits the epilogue. */
function joinLowRank(main: Instruction, small: Instruction): Fused | undefined {
  const attrs = main.attrs as MatmulAttrs;
  const thin = small.attrs as MatmulAttrs;
  const sizes = matmulSizes(
    main.inputs.map(({ spec }) => spec),
    attrs,
  );
  const rank = rankOf(small);
  const { a, b, addend: ownAddend } = matmulOperands(main.inputs, attrs);
  const {
    a: h,
    b: [u],
    addend: thinAddend,
  } = matmulOperands(small.inputs, thin);
  if (a === undefined || h === undefined || u === undefined || thin.encoding !== undefined) return undefined;
  const fits =
    attrs.lowRank === undefined &&
    sizes.batch === undefined &&
    rank <= maxRank &&
    rank < sizes.k &&
    !thin.transposeA &&
    attrs.scaled !== true &&
    thin.scaled !== true &&
    u.spec.dtype === 'f32' &&
    h.spec.shape.length === 2;
  if (!fits || (attrs.addend !== undefined && thin.addend !== undefined)) return undefined;
  const addend = attrs.addend ?? thin.addend;
  return {
    attrs: { ...attrs, lowRank: thin.transposeB ? 'nt' : 'nn', ...(addend === undefined ? {} : { addend }) },
    inputs: [a, ...b, h, u, ...[ownAddend, thinAddend].filter((value) => value !== undefined)],
    absorbed: [main, small],
  };
}

/** matmul's own output shape under the sum's: the sum becomes a view of it. */
function reshaped(instruction: Instruction, sum: Value): Value {
  const [spec = sum.spec] = instruction.op.infer(
    instruction.inputs.map((input) => input.spec),
    instruction.attrs,
  );
  if (sameShape(spec.shape, sum.spec.shape)) return sum;
  return viewOf(sum, spec);
}
