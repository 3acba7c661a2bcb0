import { aNumber, aShape, signature } from '../arguments.js';
import { aTensor, aTensorLike } from '../tensorKinds.js';
import type { ArgumentCheck } from '../arguments.js';
import type { Tensor } from '../graph.js';
import { Scalar } from '../graph.js';
import type { Spec } from '../op.js';
import { apply, defineOp } from '../op.js';
import type { Shape } from '../shape.js';
import { broadcastShapes, broadcastStrides, shapeError, sizeOf, stridesOf } from '../shape.js';
import { normalCdfOf } from './normalCdf.js';

/**
 * Elementwise arithmetic in f32. There is one op, `elementwise`, whose attribute is a little program; a single function
 * is a program of one instruction, and fusion is the joining of programs. A function is declared once below: its value
 * and its gradient. Backends hold one table with a line per function.
 */
interface ElementwiseFunction {
  readonly arity: number;
  evaluate(a: number, b: number, c: number): number;
  /** dL/d(argument) from g = dL/d(value), the arguments and the value y; undefined for arguments without gradient. */
  gradient?(g: Tensor, args: readonly [Tensor, Tensor, Tensor], y: Tensor): readonly (() => Tensor)[];
}

const sigmoidOf = (x: number): number => 1 / (1 + Math.exp(-x));
const geluInner = Math.sqrt(2 / Math.PI);

function clipScaleOf(squaredNorm: number, maximum: number): number {
  if (!Number.isFinite(squaredNorm)) return NaN;
  return maximum > 0 ? Math.min(1, maximum / (Math.sqrt(squaredNorm) + 1e-6)) : 1;
}

/** The functions that elementwise programs consist of: arity, value and gradient of each. */
export const elementwiseFunctions = {
  copy: { arity: 1, evaluate: (a) => a, gradient: (g) => [() => g] },
  neg: { arity: 1, evaluate: (a) => -a, gradient: (g) => [() => neg(g)] },
  exp: { arity: 1, evaluate: (a) => Math.exp(a), gradient: (g, _, y) => [() => mul(g, y)] },
  log: { arity: 1, evaluate: (a) => Math.log(a), gradient: (g, [a]) => [() => div(g, a)] },
  sqrt: { arity: 1, evaluate: (a) => Math.sqrt(a), gradient: (g, _, y) => [() => div(mul(g, 0.5), y)] },
  rsqrt: { arity: 1, evaluate: (a) => 1 / Math.sqrt(a), gradient: (g, [a], y) => [() => div(mul(mul(g, -0.5), y), a)] },
  square: { arity: 1, evaluate: (a) => a * a, gradient: (g, [a]) => [() => mul(mul(g, 2), a)] },
  abs: { arity: 1, evaluate: (a) => Math.abs(a), gradient: (g, [a]) => [() => mul(g, sign(a))] },
  sign: { arity: 1, evaluate: (a) => Math.sign(a) },
  floor: { arity: 1, evaluate: (a) => Math.floor(a) },
  sin: { arity: 1, evaluate: (a) => Math.sin(a), gradient: (g, [a]) => [() => mul(g, cos(a))] },
  cos: { arity: 1, evaluate: (a) => Math.cos(a), gradient: (g, [a]) => [() => neg(mul(g, sin(a)))] },
  tanh: { arity: 1, evaluate: (a) => Math.tanh(a), gradient: (g, _, y) => [() => mul(g, sub(1, square(y)))] },
  sigmoid: { arity: 1, evaluate: sigmoidOf, gradient: (g, _, y) => [() => mul(g, mul(y, sub(1, y)))] },
  /** x·σ(x) */
  silu: {
    arity: 1,
    evaluate: (a) => a * sigmoidOf(a),
    gradient: (g, [a], y) => [() => mul(g, add(y, mul(sigmoid(a), sub(1, y))))],
  },
  /** GELU, the tanh form: x/2·(1 + tanh(√(2/π)(x + 0.044715x³))) */
  geluTanh: {
    arity: 1,
    evaluate: (a) => 0.5 * a * (1 + Math.tanh(geluInner * (a + 0.044715 * a * a * a))),
    gradient: (g, [a]) => [
      () => {
        const t = tanh(mul(geluInner, add(a, mul(0.044715, mul(a, square(a))))));
        const slope = mul(mul(mul(0.5, a), sub(1, square(t))), mul(geluInner, add(1, mul(3 * 0.044715, square(a)))));
        return mul(g, add(mul(0.5, add(1, t)), slope));
      },
    ],
  },
  /** Φ(x) = ½·erfc(−x/√2), the distribution function of the standard normal. */
  normalCdf: { arity: 1, evaluate: normalCdfOf, gradient: (g, [a]) => [() => mul(g, normalDensity(a))] },
  /** GELU, the exact form: x·Φ(x) */
  gelu: {
    arity: 1,
    evaluate: (a) => a * normalCdfOf(a),
    gradient: (g, [a]) => [() => mul(g, add(normalCdf(a), mul(a, normalDensity(a))))],
  },
  relu: { arity: 1, evaluate: (a) => Math.max(a, 0), gradient: (g, [a]) => [() => mul(g, less(0, a))] },
  add: { arity: 2, evaluate: (a, b) => a + b, gradient: (g) => [() => g, () => g] },
  sub: { arity: 2, evaluate: (a, b) => a - b, gradient: (g) => [() => g, () => neg(g)] },
  mul: { arity: 2, evaluate: (a, b) => a * b, gradient: (g, [a, b]) => [() => mul(g, b), () => mul(g, a)] },
  div: {
    arity: 2,
    evaluate: (a, b) => a / b,
    gradient: (g, [, b], y) => [() => div(g, b), () => neg(div(mul(g, y), b))],
  },
  minimum: {
    arity: 2,
    evaluate: (a, b) => Math.min(a, b),
    gradient: (g, [a, b]) => [() => where(less(b, a), 0, g), () => where(less(b, a), g, 0)],
  },
  maximum: {
    arity: 2,
    evaluate: (a, b) => Math.max(a, b),
    gradient: (g, [a, b]) => [() => where(less(a, b), 0, g), () => where(less(a, b), g, 0)],
  },
  /** 1 where a < b, else 0. */
  less: { arity: 2, evaluate: (a, b) => (a < b ? 1 : 0) },
  lessEqual: { arity: 2, evaluate: (a, b) => (a <= b ? 1 : 0) },
  equal: { arity: 2, evaluate: (a, b) => (a === b ? 1 : 0) },
  /** 1 where a is a finite number; 0 for NaN and the infinities. */
  isFinite: { arity: 1, evaluate: (a) => (Number.isFinite(a) ? 1 : 0) },
  /** b where a ≠ 0, else c. */
  select: {
    arity: 3,
    evaluate: (a, b, c) => (a !== 0 ? b : c),
    gradient: (g, [a]) => [() => mul(g, 0), () => where(a, g, 0), () => where(a, 0, g)],
  },
  /**
   * The factor that clips a gradient of squared norm a to norm b: min(1, b/(√a + 1e-6)) as
   * torch.nn.utils.clip_grad_norm_; 1 where b ≤ 0; NaN where a is NaN or infinite, which `adamw` takes as "leave
   * everything as it is".
   */
  clipScale: { arity: 2, evaluate: clipScaleOf },
} as const satisfies Record<string, ElementwiseFunction>;

/** e^(−x²/2)/√(2π) */
function normalDensity(a: Tensor): Tensor {
  return mul(1 / Math.sqrt(2 * Math.PI), exp(mul(-0.5, square(a))));
}

/** A function of an elementwise program. */
export type ElementwiseName = keyof typeof elementwiseFunctions;

/**
 * One instruction of an elementwise program. Arguments count the op's inputs first, then the results of earlier
 * instructions. A `constant` has no arguments.
 */
export type ElementwiseInstruction =
  | { readonly fn: ElementwiseName; readonly args: readonly number[] }
  | { readonly fn: 'constant'; readonly value: number };

export interface ElementwiseAttrs {
  /** The last instruction's result is the output. */
  readonly program: readonly ElementwiseInstruction[];
  /** The output's shape; every input broadcasts to it. */
  readonly shape: Shape;
}

export const elementwise = defineOp<'elementwise', ElementwiseAttrs>({
  name: 'elementwise',
  infer(inputs, { shape }) {
    for (const input of inputs) requireF32(input);
    return [{ shape, dtype: 'f32' }];
  },
  // Gradients are taken before fusion, so the program has one instruction (and the constants it uses).
  vjp({ inputs, outputs, attrs, cotangents: [g], needs }) {
    const instruction = attrs.program.at(-1);
    const [y] = outputs;
    if (g === undefined || y === undefined || instruction === undefined || instruction.fn === 'constant') return [];
    const operands = instruction.args.map((at) => inputs[at] ?? constantOf(attrs.program[at - inputs.length]));
    const fn: ElementwiseFunction = elementwiseFunctions[instruction.fn];
    const [a = y, b = a, c = a] = operands;
    const rules = fn.gradient?.(g, [a, b, c], y) ?? [];
    return inputs.map((_, at) => {
      const uses = instruction.args.flatMap((arg, position) => (arg === at ? [position] : []));
      const parts = needs[at] === true ? uses.flatMap((position) => rules[position]?.() ?? []) : [];
      return parts.length === 0 ? undefined : parts.reduce((sum, part) => add(sum, part));
    });
  },
  reference({ inputs, outputs: [out], inputSpecs, attrs: { program, shape } }) {
    const read = inputSpecs.map((spec) => broadcastReader(spec.shape, shape));
    const values = new Float64Array(inputs.length + program.length);
    for (let i = 0; i < out.length; i++) {
      inputs.forEach((input, at) => (values[at] = input[read[at]?.(i) ?? 0]));
      program.forEach((instruction, at) => (values[inputs.length + at] = evaluateInstruction(instruction, values)));
      out[i] = values[values.length - 1];
    }
  },
  inPlace: [
    [0, 0],
    [1, 0],
    [2, 0],
    [3, 0],
    [4, 0],
    [5, 0],
    [6, 0],
  ],
  flops: (_, { program, shape }) =>
    program.filter(({ fn }) => fn !== 'constant' && fn !== 'copy').length * sizeOf(shape),
});

function evaluateInstruction(instruction: ElementwiseInstruction, values: Float64Array): number {
  if (instruction.fn === 'constant') return instruction.value;
  const [a = 0, b = 0, c = 0] = instruction.args;
  const fn: ElementwiseFunction = elementwiseFunctions[instruction.fn];
  return fn.evaluate(values[a], values[b], values[c]);
}

/** Maps a flat index of `target` to a flat index of a tensor of `shape` that broadcasts to it. */
export function broadcastReader(shape: Shape, target: Shape): (index: number) => number {
  const from = broadcastStrides(shape, target);
  const to = stridesOf(target);
  return (index) =>
    to.reduce((at, stride, axis) => at + (Math.floor(index / stride) % (target[axis] ?? 1)) * from[axis], 0);
}

function requireF32(spec: Spec): void {
  if (spec.dtype === 'f32') return;
  throw shapeError('elementwise', 'f32 operands', spec.dtype, "Use cast(x, 'f32') first.");
}

function constantOf(instruction: ElementwiseInstruction | undefined): Tensor {
  if (instruction?.fn !== 'constant')
    throw shapeError('elementwise gradient', 'a program of one function', 'a fused program');
  return full([], instruction.value);
}

/** A tensor, a host-settable scalar, or a number that becomes a constant of the plan. */
export type TensorLike = Tensor | Scalar | number;

const operandNames = ['a', 'b', 'c'];
const checks = new Map<ElementwiseName, ArgumentCheck>();

function checkOperands(fn: ElementwiseName, args: readonly TensorLike[]): void {
  const names = fn === 'select' ? ['condition', 'then', 'otherwise'] : operandNames.slice(0, args.length);
  const check =
    checks.get(fn) ??
    signature(fn === 'select' ? 'where' : fn, Object.fromEntries(names.map((name) => [name, aTensorLike])));
  checks.set(fn, check);
  check(...args);
}

function call(fn: ElementwiseName, args: readonly TensorLike[]): Tensor {
  checkOperands(fn, args);
  const inputs: Tensor[] = [];
  const constants: ElementwiseInstruction[] = [];
  const slots = args.map((arg) => {
    if (typeof arg === 'number')
      return { input: undefined, constant: constants.push({ fn: 'constant', value: arg }) - 1 };
    const operand = arg instanceof Scalar ? arg.tensor : arg;
    const known = inputs.findIndex((input) => input.node === operand.node && input.index === operand.index);
    return { input: known >= 0 ? known : inputs.push(operand) - 1, constant: undefined };
  });
  const indices = slots.map((slot) => slot.input ?? inputs.length + (slot.constant ?? 0));
  const shape = broadcastShapes(
    inputs.map((input) => input.shape),
    fn,
  );
  return apply(elementwise, inputs, { program: [...constants, { fn, args: indices }], shape });
}

/** −a, element by element. */
export const neg = (a: TensorLike): Tensor => call('neg', [a]);
/** eᵃ, element by element. */
export const exp = (a: TensorLike): Tensor => call('exp', [a]);
/** The natural logarithm of a, element by element. */
export const log = (a: TensorLike): Tensor => call('log', [a]);
/** √a, element by element. */
export const sqrt = (a: TensorLike): Tensor => call('sqrt', [a]);
/** 1/√a, element by element. */
export const rsqrt = (a: TensorLike): Tensor => call('rsqrt', [a]);
/** a², element by element. */
export const square = (a: TensorLike): Tensor => call('square', [a]);
/** |a|, element by element; the gradient at 0 is 0, as PyTorch's. */
export const abs = (a: TensorLike): Tensor => call('abs', [a]);
/** −1, 0 or 1, element by element; its gradient is 0. */
export const sign = (a: TensorLike): Tensor => call('sign', [a]);
/** The largest whole number not above a, element by element; its gradient is 0. */
export const floor = (a: TensorLike): Tensor => call('floor', [a]);
/** sin a, in radians, element by element. */
export const sin = (a: TensorLike): Tensor => call('sin', [a]);
/** cos a, in radians, element by element. */
export const cos = (a: TensorLike): Tensor => call('cos', [a]);
/** tanh a, element by element. */
export const tanh = (a: TensorLike): Tensor => call('tanh', [a]);
/** 1/(1 + e⁻ᵃ), element by element. */
export const sigmoid = (a: TensorLike): Tensor => call('sigmoid', [a]);
/** a·sigmoid(a), element by element: swish (Elfwing et al. 2017). */
export const silu = (a: TensorLike): Tensor => call('silu', [a]);
/** GELU in its approximation ½a(1 + tanh(√(2/π)(a + 0.044715a³))): PyTorch's `approximate='tanh'`. */
export const geluTanh = (a: TensorLike): Tensor => call('geluTanh', [a]);
/** Φ(a), the distribution function of the standard normal, element by element. */
export const normalCdf = (a: TensorLike): Tensor => call('normalCdf', [a]);
/** a·Φ(a), element by element (Hendrycks & Gimpel 2016): PyTorch's default `gelu`. */
export const gelu = (a: TensorLike): Tensor => call('gelu', [a]);
/** max(a, 0), element by element. */
export const relu = (a: TensorLike): Tensor => call('relu', [a]);
/**
 * a + b, element by element; shapes broadcast by NumPy's rule.
 *
 * @throws LowrankError `tensor.shape`
 */
export const add = (a: TensorLike, b: TensorLike): Tensor => call('add', [a, b]);
/**
 * a − b, element by element; shapes broadcast by NumPy's rule.
 *
 * @throws LowrankError `tensor.shape`
 */
export const sub = (a: TensorLike, b: TensorLike): Tensor => call('sub', [a, b]);
/**
 * a·b, element by element; shapes broadcast by NumPy's rule.
 *
 * @throws LowrankError `tensor.shape`
 */
export const mul = (a: TensorLike, b: TensorLike): Tensor => call('mul', [a, b]);
/**
 * a/b, element by element; shapes broadcast by NumPy's rule.
 *
 * @throws LowrankError `tensor.shape`
 */
export const div = (a: TensorLike, b: TensorLike): Tensor => call('div', [a, b]);
/** The smaller of a and b, element by element; NaN where either is NaN, as torch.minimum. */
export const minimum = (a: TensorLike, b: TensorLike): Tensor => call('minimum', [a, b]);
/** The larger of a and b, element by element; NaN where either is NaN, as torch.maximum. */
export const maximum = (a: TensorLike, b: TensorLike): Tensor => call('maximum', [a, b]);
/** 1 where a < b, else 0, element by element; its gradient is 0. */
export const less = (a: TensorLike, b: TensorLike): Tensor => call('less', [a, b]);
/** 1 where a ≤ b, else 0, element by element; its gradient is 0. */
export const lessEqual = (a: TensorLike, b: TensorLike): Tensor => call('lessEqual', [a, b]);
/** 1 where a = b, else 0, element by element; its gradient is 0. */
export const equal = (a: TensorLike, b: TensorLike): Tensor => call('equal', [a, b]);
/** `then` where the condition is not 0, `otherwise` elsewhere, element by element, as torch.where. */
export const where = (condition: TensorLike, then: TensorLike, otherwise: TensorLike): Tensor =>
  call('select', [condition, then, otherwise]);
/** 1 where a is finite, else 0; tested on the bits where arithmetic may not be trusted with NaN. */
export const isFinite = (a: TensorLike): Tensor => call('isFinite', [a]);
/** The factor of gradient clipping, min(1, maximumNorm/(√squaredNorm + 1e-6)); NaN where the norm is not finite. */
export const clipScale = (squaredNorm: TensorLike, maximumNorm: TensorLike): Tensor =>
  call('clipScale', [squaredNorm, maximumNorm]);

const checkFull = signature('full', { shape: aShape, value: aNumber });
const checkZeros = signature('zeros', { shape: aShape });
const checkBroadcastTo = signature('broadcastTo', { x: aTensor, shape: aShape });

/** A lazy tensor filled with one number. */
export function full(shape: Shape, value: number): Tensor {
  checkFull(shape, value);
  return apply(elementwise, [], { program: [{ fn: 'constant', value }], shape });
}

/** A lazy tensor of zeros, f32. */
export function zeros(shape: Shape): Tensor {
  checkZeros(shape);
  return full(shape, 0);
}

/** x repeated along new or size-1 axes until it has `shape` (NumPy's rule). */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  checkBroadcastTo(x, shape);
  return apply(elementwise, [x], { program: [{ fn: 'copy', args: [0] }], shape });
}
