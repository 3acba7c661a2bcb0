import type { Operand } from '@lowrank/tensor/backend';
import { matmulOperands, matmulSizes, matmulTerms, matmulTermSizes, partSize, sizeOf } from '@lowrank/tensor/op';
import type { MatmulAttrs, MatmulTerm, ProductPart, Spec, TermOperands } from '@lowrank/tensor/op';
import { cellsOf } from '../fours.js';
import { defineKernel, operand } from '../kernel.js';
import type { KernelContext, KernelStep, KernelDispatch, Slice } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';
import { chooseProduct, productClass } from '../choices.js';
import type { ChoiceContext, ProductChoice, ProductSize } from '../choices.js';
import { matrixProduct } from './matmul/matrix.js';
import { productWorkspace } from './matmul/product.js';
import type { Factors, Product } from './matmul/product.js';
import { registerProduct } from './matmul/register.js';
import { tileProduct } from './matmul/tile.js';
import { vectorProduct } from './matmul/vector.js';

const forms = { register: registerProduct, lanes: registerProduct, tile: tileProduct, matrix: matrixProduct };

/**
 * Matrix products in five forms (register blocks, those of a subgroup together, workgroup tiles of f32 or f16, subgroup
 * matrices, a vector form), each for NN, NT, TN and TT and any encoding of b.
 */
export const matmul = defineKernel<MatmulAttrs>({
  launches(step, context) {
    const product = productOf(step);
    const choice = withinWorkspace(chooseProduct(sizeOfProduct(step.inputs, step.attrs), context), product, step);
    const label = labelOf(product);
    if (choice.kind === 'vector') return [vectorProduct({ label, product, choice, context })];
    const main = forms[choice.kind]({ label, product, choice, workspace: step.workspace, context });
    if (choice.splits === 1 || step.workspace === undefined) return [main];
    return [main, sumParts({ label, product, splits: choice.splits, workspace: step.workspace, context })];
  },
  halves: (inputs, _, attrs, context) =>
    ['tile', 'matrix'].includes(chooseProduct(sizeOfProduct(inputs, attrs), context).kind),
  workspace: (inputs, _, attrs, context) => productWorkspace(sizeOfProduct(inputs, attrs), context),
  launchClass: (inputs, _, attrs, context) =>
    attrs.further === undefined && attrs.epilogue === undefined
      ? productClass(sizeOfProduct(inputs, attrs), context)
      : undefined,
});

function labelOf({ m, n, k, b, encoding, transposeA, transposeB, further, made, epilogue }: Product): string {
  const sides = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
  const inner = [k, ...further.map((factors) => factors.k)].join(epilogue?.form === 'swiglu' ? '|' : '+');
  const form = epilogue === undefined ? '' : ` ${epilogue.form}`;
  const left = made === undefined ? '' : ` of ${made.form}`;
  return `matmul ${sides} ${m}x${n}x${inner} ${encoding?.kind ?? b[0].dtype}${left}${form}`;
}

/** A product of few rows makes its left operand itself: every thread reads all of its rows anyway. */
export function makesLeft(inputs: readonly Spec[], attrs: MatmulAttrs, context: ChoiceContext): boolean {
  return chooseProduct(sizeOfProduct(inputs, attrs), context).kind === 'vector' && !attrs.transposeA;
}

/**
 * Sums of several products and epilogues have kernels where k is whole, and only one matrix is in codes. Gate and up
 * side by side are the two halves of a large tile.
 */
export function hasProduct(inputs: readonly Spec[], attrs: MatmulAttrs, context: ChoiceContext): boolean {
  const choice = chooseProduct(sizeOfProduct(inputs, attrs), context);
  const { kind, tn, splits } = choice;
  const encoded = [attrs, ...(attrs.further ?? [])].filter(({ encoding }) => encoding !== undefined);
  if (kind === 'vector' || splits > 1 || encoded.length > 1) return false;
  if (attrs.parts !== undefined && !hasParts(inputs, attrs, choice)) return false;
  return attrs.epilogue?.form !== 'swiglu' || (kind === 'tile' && tn === 8);
}

/** Thin products with results, of a tile that is as large as a part, in whole vectors. */
function hasParts(inputs: readonly Spec[], attrs: MatmulAttrs, { kind, tm, tn, wx, wy }: ProductChoice): boolean {
  const { m, n } = matmulSizes(inputs, attrs);
  const { parts } = matmulOperands(inputs, attrs);
  const whole = attrs.parts?.every((part, at) => rankOf(part, parts[at]?.t, { m, n }) % 4 === 0) === true;
  const isPart = kind === 'tile' && tm * wy === partSize && tn * wx === partSize && wx * wy >= partSize;
  return isPart && whole && n % 4 === 0 && attrs.epilogue?.form === 'swigluGradient';
}

/** The columns of a part's t. */
function rankOf(
  { over }: ProductPart,
  t: Spec | undefined,
  { m, n }: { readonly m: number; readonly n: number },
): number {
  return sizeOf(t?.shape ?? []) / (over === 'rows' ? m : n);
}

/** What the form of a product is chosen by. */
export function sizeOfProduct(inputs: readonly Spec[], attrs: MatmulAttrs): ProductSize {
  const { batch = 1, m, n, k } = matmulSizes(inputs, attrs);
  const { transposeA, transposeB, encoding } = attrs;
  const [first] = matmulTerms(inputs, attrs);
  const operands = `${first?.a?.dtype}·${encoding?.kind ?? first?.b[0]?.dtype}`;
  const fused = attrs.further !== undefined || attrs.epilogue !== undefined;
  return { batch, m, n, k, transposeA, transposeB, encoded: encoding !== undefined, operands, fused };
}

/** No more parts than the plan has room for: it may be older than a choice that was measured. */
function withinWorkspace(
  choice: ProductChoice,
  { batch, m, n }: Product,
  { workspace }: { readonly workspace: Slice | undefined },
): ProductChoice {
  if (choice.splits === 1) return choice;
  const room = Math.floor((workspace?.bytes ?? 0) / (4 * batch * m * n));
  return { ...choice, splits: Math.max(1, Math.min(choice.splits, room)) };
}

function productOf({ inputs, outputs, attrs }: KernelStep<MatmulAttrs>): Product {
  const { batch = 1, m, n } = matmulSizes(inputs, attrs);
  const sizes = matmulTermSizes(inputs, attrs);
  const [first, ...further] = matmulTerms(inputs, attrs).map((term, at) => factorsOf(term, sizes[at]));
  const { beside, addend: added, scale, epilogue, parts } = matmulOperands(inputs, attrs);
  if (first === undefined) throw new TypeError('matmul lacks an operand');
  return {
    ...first,
    batch,
    m,
    n,
    further,
    made: attrs.left === undefined || beside === undefined ? undefined : { ...attrs.left, beside },
    out: operand(outputs, 0, 'matmul'),
    addend: attrs.addend === undefined || added === undefined ? undefined : { value: added, kind: attrs.addend },
    scale,
    epilogue: epilogueOf(attrs, epilogue, outputs),
    parts: (attrs.parts ?? []).map((part, at) => {
      const { t, scale: times } = parts[at] ?? {};
      const out = operand(outputs, outputs.length - parts.length + at, 'matmul');
      if (t === undefined) throw new TypeError('matmul lacks an operand');
      return { ...part, t, rank: rankOf(part, t, { m, n }), scale: times, out };
    }),
  };
}

function factorsOf(
  { term, a, b: [b, ...parts], h, u }: TermOperands<Operand> & { readonly term: MatmulTerm },
  { k, rank }: { readonly k: number; readonly rank: number } = { k: 0, rank: 0 },
): Factors {
  const { transposeA, transposeB, encoding, lowRank } = term;
  if (a === undefined || b === undefined) throw new TypeError('matmul lacks an operand');
  const has = lowRank !== undefined && h !== undefined && u !== undefined;
  const thin = has ? { h, u, rank, transposeU: lowRank === 'nt' } : undefined;
  return { k, a, transposeA, b: [b, ...parts], transposeB, encoding, lowRank: thin };
}

function epilogueOf({ epilogue }: MatmulAttrs, beside: readonly Operand[], outputs: readonly Operand[]) {
  if (epilogue === undefined) return undefined;
  if (epilogue.form === 'swiglu') return { form: epilogue.form, gate: outputs[1], up: outputs[2] };
  return {
    form: epilogue.form,
    gate: operand(beside, 0, 'matmul'),
    up: operand(beside, 1, 'matmul'),
    dUp: operand(outputs, 1, 'matmul'),
    y: epilogue.forward === true ? outputs[2] : undefined,
  };
}

/** The second pass of split K: partial sums in a fixed order, then the scale and the addend. */
function sumParts(options: {
  label: string;
  product: Product;
  splits: number;
  workspace: Slice;
  context: KernelContext;
}): KernelDispatch {
  const {
    product: { batch, m, n, out, addend, scale },
    splits,
    workspace,
    context,
  } = options;
  const unit = n % 4 === 0 ? 4 : 1;
  const type = unit === 4 ? 'vec4<f32>' : 'f32';
  const total = (batch * m * n) / unit;
  const shader = new Shader(context);
  const [count, width] = [shader.size('total', total), shader.size('width', n / unit)];
  const partial = shader.read('partial', workspace, type);
  const added = addend === undefined ? undefined : shader.read('addend', addend.value, type);
  const times = scale === undefined ? '' : ` * ${shader.scalar('scale', scale)}`;
  const c = cellsOf(shader, unit === 4).write('c', out);
  const workgroups = grid(Math.ceil(total / 64));
  const plus = added === undefined ? '' : ` + ${added}[${addend?.kind === 'row' ? `index % ${width}` : 'index'}]`;
  const body = `${mainHead(64, workgroups)}
  if (index >= ${count}) { return; }
  var sum = ${partial}[index];
  for (var part = 1u; part < ${splits}u; part++) { sum += ${partial}[part * ${count} + index]; }
  ${c.write('index', `sum${times}${plus}`)}
}
`;
  return shader.launch({ label: `${options.label} sum of ${splits} parts`, body, workgroups });
}
