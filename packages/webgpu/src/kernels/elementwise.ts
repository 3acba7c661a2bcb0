import { broadcastStrides, sizeOf } from '@lowrank/tensor/op';
import type { Shape } from '@lowrank/tensor';
import type { AttrsOf, ElementwiseName, ElementwiseInstruction } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { Shader, grid, literal, mainHead, nonFinite } from '../shader.js';

type Attrs = AttrsOf<'elementwise'>;

/** A fused elementwise program as one kernel; four neighbours at a time where the last axis allows. */
export const elementwise = defineKernel<Attrs>({
  launches({ inputs, outputs, attrs }, context) {
    const { axes, strides } = collapse(
      attrs.shape,
      inputs.map(({ shape }) => shape),
    );
    const last = axes.at(-1) ?? 1;
    const width = last % 4 === 0 ? 4 : 1;
    const total = sizeOf(attrs.shape) / width;
    const shader = new Shader(context);
    const type = width === 4 ? 'vec4<f32>' : 'f32';
    // The output is bound first: an input that shares its slice then shares its binding.
    const y = shader.write('y', operand(outputs, 0, 'elementwise'), type);
    const loads = inputs.map((input, at) => {
      const own = strides[at] ?? [];
      const contiguous = own.at(-1) === 1;
      if (sizeOf(input.shape) === 1) return `${type}(${shader.scalar(`x${at}`, input)})`;
      if (width === 4 && contiguous)
        return `${shader.read(`x${at}`, input, 'vec4<f32>')}[(${indexOf(axes, own)}) / 4u]`;
      return `${type}(${shader.read(`x${at}`, input)}[${indexOf(axes, own)}])`;
    });
    const workgroups = grid(Math.ceil(total / 64));
    let body = `${nonFinite}${functions(attrs.program, width)}
${mainHead(64, workgroups)}
  if (index >= ${shader.size('total', total)}) { return; }
  let element = index * ${width}u;
`;
    loads.forEach((load, at) => (body += `  let v${at} = ${load};\n`));
    attrs.program.forEach(
      (instruction, at) => (body += `  let v${inputs.length + at} = ${expression(instruction, type)};\n`),
    );
    body += `  ${y}[index] = v${inputs.length + attrs.program.length - 1};\n}\n`;
    const label = `elementwise ${attrs.program.map(({ fn }) => fn).join(' ')}`;
    return [shader.launch({ label, body, workgroups })];
  },
});

/** Merges axes that every input walks as one, and drops axes of size 1: fewer divisions per element. */
function collapse(shape: Shape, inputs: readonly Shape[]): { axes: number[]; strides: number[][] } {
  const full = inputs.map((input) => broadcastStrides(input, shape));
  const axes: number[] = [];
  const strides: number[][] = inputs.map(() => []);
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const previous = axes.length - 1;
    const joins = previous >= 0 && full.every((own, at) => strides[at]?.[previous] === own[axis] * size);
    if (joins) {
      axes[previous] = (axes[previous] ?? 1) * size;
      full.forEach((own, at) => strides[at]?.splice(previous, 1, own[axis]));
    } else {
      axes.push(size);
      full.forEach((own, at) => strides[at]?.push(own[axis]));
    }
  });
  return { axes, strides };
}

/** WGSL of the flat place in an input of the flat `element` of the output. */
function indexOf(axes: readonly number[], strides: readonly number[]): string {
  let inner = 1;
  const terms: string[] = [];
  for (let axis = axes.length - 1; axis >= 0; axis--) {
    const stride = strides[axis];
    const outer = inner === 1 ? 'element' : `(element / ${inner}u)`;
    const coordinate = axis === 0 ? outer : `${outer} % ${axes[axis] ?? 1}u`;
    if (stride !== 0) terms.push(stride === 1 ? `(${coordinate})` : `(${coordinate}) * ${stride}u`);
    inner *= axes[axis] ?? 1;
  }
  return terms.length === 0 ? '0u' : terms.join(' + ');
}

type Form = (a: string, b: string, c: string) => string;
const named =
  (name: string): Form =>
  (a, b, c) =>
    `${name}(${[a, b, c].filter((arg) => arg !== '').join(', ')})`;

/**
 * One line per function, for `f32` and `vec4<f32>` alike; T stands for the type. Those in `scalarForms` are called lane
 * by lane.
 */
const forms: Record<ElementwiseName, Form> = {
  copy: (a) => a,
  neg: (a) => `-${a}`,
  exp: named('fn_exp'),
  log: named('log'),
  sqrt: named('sqrt'),
  rsqrt: named('inverseSqrt'),
  square: (a) => `${a} * ${a}`,
  abs: named('abs'),
  sign: named('sign'),
  floor: named('floor'),
  sin: named('sin'),
  cos: named('cos'),
  tanh: named('fn_tanh'),
  sigmoid: (a) => `1.0f / (1.0f + exp(-${a}))`,
  silu: (a) => `${a} / (1.0f + exp(-${a}))`,
  geluTanh: named('fn_geluTanh'),
  normalCdf: named('fn_normalCdf'),
  gelu: named('fn_gelu'),
  relu: named('fn_relu'),
  add: (a, b) => `${a} + ${b}`,
  sub: (a, b) => `${a} - ${b}`,
  mul: (a, b) => `${a} * ${b}`,
  div: (a, b) => `${a} / ${b}`,
  minimum: named('fn_minimum'),
  maximum: named('fn_maximum'),
  less: (a, b) => `select(T(0.0f), T(1.0f), ${a} < ${b})`,
  lessEqual: (a, b) => `select(T(0.0f), T(1.0f), ${a} <= ${b})`,
  equal: (a, b) => `select(T(0.0f), T(1.0f), ${a} == ${b})`,
  isFinite: named('fn_isFinite'),
  select: (a, b, c) => `select(${c}, ${b}, ${a} != T(0.0f))`,
  clipScale: named('fn_clipScale'),
};

/**
 * Φ(a) as `phi`: the smaller tail is e^(−a²/2)·t·P(t) with t = 1/(1 + 0.3|a|/√2), the form of Hastings (Abramowitz &
 * Stegun 7.1.26) with P of degree 8 fitted to 2e-8 of the tail for |a| ≤ 13. Beyond that the tail is 0 in f32.
 */
const normalTail = `let size = min(abs(a), 15.0f);
  let t = 1.0f / (1.0f + 0.2121320344f * size);
  let series =
    fma(fma(fma(fma(
      fma(fma(fma(fma(-0.06470349371f, t, 0.2424769153f), t, -0.2554522412f), t, 0.2729942626f), t, -0.04665885643f),
      t, 0.107142623f), t, 0.07426336919f), t, 0.08534235351f), t, 0.08459505807f);
  let tail = series * t * exp(-0.5f * size * size);
  let phi = select(1.0f - tail, tail, a < 0.0f);`;

/** Functions that need more than an expression, on one number. */
const scalarForms: Partial<Record<ElementwiseName, { arity: number; code: string }>> = {
  // Some drivers' exponential swallows NaN.
  exp: { arity: 1, code: 'return keepNan(a, a, exp(a));' },
  // Implementations may compute tanh from exponentials that overflow; beyond ±15 it is ±1 in f32.
  tanh: { arity: 1, code: 'return keepNan(a, a, tanh(clamp(a, -15.0f, 15.0f)));' },
  geluTanh: {
    arity: 1,
    code: `let inner = 0.7978845608f * (a + 0.044715f * a * a * a);
  return keepNan(a, a, 0.5f * a * (1.0f + tanh(clamp(inner, -15.0f, 15.0f))));`,
  },
  normalCdf: {
    arity: 1,
    code: `${normalTail}
  return keepNan(a, a, phi);`,
  },
  gelu: {
    arity: 1,
    code: `${normalTail}
  return keepNan(a, a, a * phi);`,
  },
  relu: { arity: 1, code: 'return largest(a, 0.0f);' },
  minimum: { arity: 2, code: 'return smallest(a, b);' },
  maximum: { arity: 2, code: 'return largest(a, b);' },
  isFinite: { arity: 1, code: 'return select(0.0f, 1.0f, isFinite(a));' },
  clipScale: {
    arity: 2,
    code: `if (!isFinite(a)) { return notANumber(); }
  if (b <= 0.0f) { return 1.0f; }
  return min(1.0f, b / (sqrt(a) + 1e-6f));`,
  },
};

function functions(program: readonly ElementwiseInstruction[], width: number): string {
  const used = new Set(program.map(({ fn }) => fn));
  let code = '';
  for (const name of used) {
    const form = name === 'constant' ? undefined : scalarForms[name];
    if (form === undefined) continue;
    const parameters = ['a', 'b', 'c'].slice(0, form.arity);
    const declared = (type: string): string => parameters.map((parameter) => `${parameter}: ${type}`).join(', ');
    const inner = width === 4 ? `one_${name}` : `fn_${name}`;
    code += `fn ${inner}(${declared('f32')}) -> f32 {\n  ${form.code}\n}\n`;
    if (width === 4) {
      const lanes = ['x', 'y', 'z', 'w'].map(
        (lane) => `${inner}(${parameters.map((parameter) => `${parameter}.${lane}`).join(', ')})`,
      );
      code += `fn fn_${name}(${declared('vec4<f32>')}) -> vec4<f32> { return vec4<f32>(${lanes.join(', ')}); }\n`;
    }
  }
  return code;
}

function expression(instruction: ElementwiseInstruction, type: string): string {
  if (instruction.fn === 'constant') return `${type}(${constant(instruction.value)})`;
  const [a = '', b = '', c = ''] = instruction.args.map((arg) => `v${arg}`);
  return forms[instruction.fn](a, b, c).replaceAll('T(', `${type}(`);
}

function constant(value: number): string {
  const rounded = Math.fround(value);
  if (Number.isNaN(rounded)) return 'notANumber()';
  if (!Number.isFinite(rounded)) return rounded > 0 ? 'infinity()' : '-infinity()';
  return literal(value);
}
