import { matmulOperands, matmulSizes } from '@lowrank/tensor/op';
import type { MatmulAttrs, Spec } from '@lowrank/tensor/op';
import { defineKernel, operand } from '../kernel.js';
import type { KernelContext, KernelStep, KernelDispatch, Slice } from '../kernel.js';
import { Shader, grid, mainHead } from '../shader.js';
import { chooseProduct, productClass } from '../choices.js';
import type { ChoiceContext, ProductSize } from '../choices.js';
import { matrixProduct } from './matmul/matrix.js';
import { productWorkspace } from './matmul/product.js';
import type { Product } from './matmul/product.js';
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
    const choice = chooseProduct(sizeOfProduct(step.inputs, step.attrs), context);
    const { m, n, k, b, encoding, transposeA, transposeB } = product;
    const sides = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
    const label = `matmul ${sides} ${m}x${n}x${k} ${encoding?.kind ?? b[0].dtype}`;
    if (choice.kind === 'vector') return [vectorProduct({ label, product, choice, context })];
    const main = forms[choice.kind]({ label, product, choice, workspace: step.workspace, context });
    if (choice.splits === 1 || step.workspace === undefined) return [main];
    return [main, sumParts({ label, product, splits: choice.splits, workspace: step.workspace, context })];
  },
  workspace: (inputs, _, attrs, context) => productWorkspace(sizeOfProduct(inputs, attrs), context),
  launchClass: (inputs, _, attrs, context) => productClass(sizeOfProduct(inputs, attrs), context),
});

/** A product of few rows makes its left operand itself: every thread reads all of its rows anyway. */
export function makesLeft(inputs: readonly Spec[], attrs: MatmulAttrs, context: ChoiceContext): boolean {
  return chooseProduct(sizeOfProduct(inputs, attrs), context).kind === 'vector' && !attrs.transposeA;
}

function sizeOfProduct(inputs: readonly Spec[], attrs: MatmulAttrs): ProductSize {
  const { batch = 1, m, n, k } = matmulSizes(inputs, attrs);
  return { batch, m, n, k, transposeB: attrs.transposeB, encoded: attrs.encoding !== undefined };
}

function productOf({ inputs, outputs, attrs }: KernelStep<MatmulAttrs>): Product {
  const { batch = 1, m, n, k, rank } = matmulSizes(inputs, attrs);
  const { transposeA, transposeB, encoding, lowRank, addend } = attrs;
  const {
    a,
    beside,
    b: [b, ...further],
    h,
    u,
    addend: added,
    scale,
  } = matmulOperands(inputs, attrs);
  if (a === undefined || b === undefined) throw new TypeError('matmul lacks an operand');
  return {
    batch,
    m,
    n,
    k,
    transposeA,
    transposeB,
    encoding,
    a,
    made: attrs.left === undefined || beside === undefined ? undefined : { ...attrs.left, beside },
    b: [b, ...further],
    out: operand(outputs, 0, 'matmul'),
    lowRank:
      lowRank === undefined || h === undefined || u === undefined
        ? undefined
        : { h, u, rank, transposeU: lowRank === 'nt' },
    addend: addend === undefined || added === undefined ? undefined : { value: added, kind: addend },
    scale,
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
  const c = shader.write('c', out, type);
  const workgroups = grid(Math.ceil(total / 64));
  const plus = added === undefined ? '' : ` + ${added}[${addend?.kind === 'row' ? `index % ${width}` : 'index'}]`;
  const body = `${mainHead(64, workgroups)}
  if (index >= ${count}) { return; }
  var sum = ${partial}[index];
  for (var part = 1u; part < ${splits}u; part++) { sum += ${partial}[part * ${count} + index]; }
  ${c}[index] = sum${times}${plus};
}
`;
  return shader.launch({ label: `${options.label} sum of ${splits} parts`, body, workgroups });
}
