import type { DeviceProfile } from './profile.js';

/*
 * Every choice that is made between forms of a kernel, by the device's profile and the shape alone: scratch memory is
 * planned from the same choices, before there is a device.
 */

/** Choices that kernels otherwise make by adapter and shape; set by tests and by tuning. */
export interface KernelTuning {
  readonly matmul?: 'register' | 'tile' | 'bigTile' | 'vector' | 'matrix' | 'bigMatrix';
  /** Parts of the contracted axis in split-K products; 1 turns it off. */
  readonly splitK?: number;
  /** What was measured on the device (`tuning/`); undefined for what the table says. */
  readonly measured?: (size: ProductSize) => MeasuredForm | undefined;
}

/** What decides a kernel's form: the profile, and what tests and tuning override. */
export interface ChoiceContext {
  readonly profile: DeviceProfile;
  readonly tuning: KernelTuning;
}

/** The size of a matrix product [m,k]·[k,n], and how its operands lie. */
export interface ProductSize {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly encoded: boolean;
  /** What they are stored in: `f32·bf16`, `f32·block4`. */
  readonly operands: string;
  /** It is a sum of several, or has an epilogue: whether it may is planned by its form. */
  readonly fused: boolean;
}

/**
 * How a product is cut up: `tm`×`tn` results a thread (a subgroup, of `matrix`), `wx`×`wy` of them, k in steps of `bk`.
 */
export interface ProductForm {
  readonly kind: 'register' | 'lanes' | 'tile' | 'vector' | 'matrix';
  readonly tm: number;
  readonly tn: number;
  readonly wx: number;
  readonly wy: number;
  readonly bk: number;
}

/** A form that was measured, and whether k stays whole in it, however few workgroups there are. */
export interface MeasuredForm extends ProductForm {
  readonly whole: boolean;
}

/** A form, and the parts that k is cut into. */
export interface ProductChoice extends ProductForm {
  readonly splits: number;
}

const productForms = {
  tile32: { kind: 'tile', tm: 4, tn: 4, wx: 8, wy: 8, bk: 16 },
  tile64: { kind: 'tile', tm: 8, tn: 8, wx: 8, wy: 8, bk: 16 },
  /** Few columns: LoRA's first product. */
  tall: { kind: 'tile', tm: 2, tn: 4, wx: 2, wy: 32, bk: 16 },
  /** The same of fewer rows: twice the workgroups, in place of two parts of k and a second dispatch for their sum. */
  short: { kind: 'tile', tm: 1, tn: 4, wx: 2, wy: 32, bk: 16 },
  /** Few rows. */
  wide: { kind: 'tile', tm: 1, tn: 8, wx: 8, wy: 8, bk: 16 },
  /** A handful of rows times a matrix stored [n, k], as in generation: 16 threads a column. */
  vector: { kind: 'vector', tm: 4, tn: 1, wx: 16, wy: 4, bk: 4 },
  /** Four subgroups of 16×16 or of 32×32 results, in as many subgroup matrices as that takes. */
  matrix32: { kind: 'matrix', tm: 16, tn: 16, wx: 2, wy: 2, bk: 32 },
  matrix64: { kind: 'matrix', tm: 32, tn: 32, wx: 2, wy: 2, bk: 32 },
  /** Few columns, and few rows. */
  matrixTall: { kind: 'matrix', tm: 16, tn: 16, wx: 1, wy: 4, bk: 32 },
  matrixWide: { kind: 'matrix', tm: 16, tn: 16, wx: 4, wy: 1, bk: 32 },
} as const satisfies Record<string, ProductForm>;

/** Workgroups that fill a device: a CPU's few cores need a handful, a GPU hundreds. */
const fillingGroups = { software: 8, gpu: 128 };

/** The form of a product, and how often its sums are split. */
export function chooseProduct(size: ProductSize, { profile, tuning }: ChoiceContext): ProductChoice {
  const { whole = false, ...form } = formOf(size, profile, tuning);
  return { ...form, splits: whole ? 1 : splitsOf(size, form, { profile, tuning }) };
}

function formOf(size: ProductSize, profile: DeviceProfile, tuning: KernelTuning): ProductForm & { whole?: boolean } {
  if (tuning.matmul !== undefined) return forcedForm(size, tuning.matmul);
  return tuning.measured?.(size) ?? tableForm(size, profile);
}

/** The form of a product by profile and size alone. */
export function tableForm(size: ProductSize, { tier, subgroups }: DeviceProfile): ProductForm {
  if (tier === 'registers') return lanesForm(size, subgroups) ?? registerForm(size);
  const { batch, m, n, transposeB } = size;
  if (m <= 4 && transposeB) return productForms.vector;
  const bigTiles = Math.ceil(m / 64) * Math.ceil(n / 64) * batch;
  const big = m >= 64 && n >= 64 && bigTiles >= 64;
  if (tier === 'matrices') return matrixForm(size, big);
  if (n <= 8) return batch * Math.ceil(m / 64) < fillingGroups.gpu ? productForms.short : productForms.tall;
  if (m <= 8) return productForms.wide;
  return big ? productForms.tile64 : productForms.tile32;
}

function matrixForm({ m, n }: ProductSize, big: boolean): ProductForm {
  const { matrixTall, matrixWide, matrix32, matrix64 } = productForms;
  return n <= 16 ? matrixTall : m <= 16 ? matrixWide : big ? matrix64 : matrix32;
}

/** What the tiles of products hold in workgroup memory. */
export type TileElement = 'f32' | 'f16';

/** What the tiles of products hold in workgroup memory: f16 in mixed precision. */
export function tileElement({ precision }: DeviceProfile): TileElement {
  return precision === 'mixed' ? 'f16' : 'f32';
}

function registerForm({ m, n, encoded }: ProductSize): ProductForm {
  // Every thread decodes for itself: with twice the rows, half as often.
  const tm = encoded && m >= 64 ? 16 : m >= 8 ? 8 : m >= 4 ? 4 : m >= 2 ? 2 : 1;
  return { kind: 'register', tm, tn: n > 4 ? 8 : 4, wx: 2, wy: m > tm ? 2 : 1, bk: 4 };
}

/**
 * A subgroup along the columns of the result, with 16 rows for all of its lanes; along the rows where columns are few.
 * Only where all subgroups are of one small size, as those of software adapters are (8 lanes of lavapipe, 4 of
 * SwiftShader), which is then the workgroup's. Larger blocks leave the registers of a processor.
 */
function lanesForm({ m, n }: ProductSize, subgroups: DeviceProfile['subgroups']): ProductForm | undefined {
  if (subgroups === undefined || subgroups.min !== subgroups.max || subgroups.max > 16) return undefined;
  const lanes = subgroups.max;
  if (n <= 16 && m > n) return { kind: 'lanes', tm: 4, tn: Math.ceil(n / 4) * 4, wx: 1, wy: lanes, bk: 4 };
  const tm = m > 8 ? 16 : m > 4 ? 8 : m > 2 ? 4 : m;
  return { kind: 'lanes', tm, tn: 4, wx: lanes, wy: 1, bk: 4 };
}

function forcedForm(size: ProductSize, kind: NonNullable<KernelTuning['matmul']>): ProductForm {
  const { tile32, tile64, tall, wide, vector } = productForms;
  if (kind === 'register') return registerForm(size);
  if (kind === 'vector') return size.m <= 4 && size.transposeB ? vector : tile32;
  if (kind === 'bigTile') return tile64;
  if (kind === 'matrix' || kind === 'bigMatrix') return matrixForm(size, kind === 'bigMatrix');
  return size.n <= 8 ? tall : size.m <= 8 ? wide : tile32;
}

function splitsOf({ batch, m, n, k }: ProductSize, form: ProductForm, { profile, tuning }: ChoiceContext): number {
  if (form.kind === 'vector') return 1;
  const longest = Math.max(1, Math.ceil(k / (form.bk * 4)));
  if (tuning.splitK !== undefined) return Math.min(tuning.splitK, longest);
  const groups = batch * Math.ceil(m / (form.tm * form.wy)) * Math.ceil(n / (form.tn * form.wx));
  const wanted = profile.tier === 'registers' ? fillingGroups.software : fillingGroups.gpu;
  if (groups * 2 > wanted || k < 512) return 1;
  return Math.min(Math.ceil(wanted / groups), Math.ceil(k / 256), longest);
}

/**
 * Independent launches become one where starting one costs a device more than it does a processor, for which the larger
 * shaders would only take longer to compile.
 */
export function groupsLaunches({ tier }: DeviceProfile): boolean {
  return tier !== 'registers';
}

/**
 * Products that may share a launch: of one form, or all thin ones, which leave a thread few sums. Of subgroup matrices,
 * as many subgroups of as many sums.
 */
export function productClass(size: ProductSize, context: ChoiceContext): string {
  const { kind, tm, tn, wx, wy } = chooseProduct(size, context);
  return `${kind} ${wx * wy} ${kind === 'tile' && tm * tn <= 8 ? 'thin' : `${tm}x${tn}`}`;
}

/** Lanes that share a row of `width` elements in norms and row losses; 1 where a thread walks it alone. */
export function rowLanes(width: number, { tier }: DeviceProfile): number {
  return tier === 'registers' || width < 16 ? 1 : width <= 512 ? 64 : 256;
}

/** Lanes that share a result of a reduction which sums `length` neighbouring elements, of `results` results. */
export function reductionLanes(
  { inner, length, results }: { readonly inner: number; readonly length: number; readonly results: number },
  { tier }: DeviceProfile,
): number {
  return inner === 1 && length >= 64 && (tier !== 'registers' || results < 16) ? 64 : 1;
}

/** Where the 16 values of 4-bit codes lie: in workgroup memory, or private where there is none. */
export function codeTable({ tier }: DeviceProfile): 'workgroup' | 'private' {
  return tier === 'registers' ? 'private' : 'workgroup';
}

/** How attention is laid over a workgroup of 64 threads. */
export interface AttentionForm {
  /** Threads that hold one head vector between them. */
  readonly share: number;
  /** Rows that pass through workgroup memory at once, or are read straight from storage. */
  readonly tile: number;
  /** Rows pass through workgroup memory. */
  readonly shared: boolean;
  /** The parts of a vector's products are joined by subgroup shuffles, not through workgroup memory. */
  readonly shuffled: boolean;
}

/** Workgroups that fill a device where each walks some of the keys, and the fewest keys that are worth one. */
const [decodeGroups, keysOfPart] = [256, 256];

/**
 * Parts that the keys of single queries are cut into, as in generation; undefined where attention goes by queries:
 * there are several, or threads that do not work together.
 */
export function keyParts(
  size: { readonly batch: number; readonly queries: number; readonly heads: number; readonly keys: number },
  { profile }: ChoiceContext,
): number | undefined {
  if (profile.tier === 'registers' || size.queries !== 1) return undefined;
  const room = Math.max(1, Math.floor(decodeGroups / (size.batch * size.heads)));
  return Math.max(1, Math.min(room, Math.ceil(size.keys / keysOfPart)));
}

/** What attention makes: the output, the gradient of the queries, or those of keys and values. */
export type AttentionPass = 'forward' | 'queries' | 'keys';

/**
 * The form for head vectors of `groups` groups of four numbers. A thread holds at most 4 groups of each vector, and 8
 * rows of one operand or 4 of two pass by: with more, the compilers of M1 and Ampere spill, or leave 8 of 48 warps, at
 * every head size from 64 to 256. The pass over keys holds four vectors, which with shuffles leaves an M1 room for 2
 * rows (bench/README.md has the figures).
 */
export function attentionForm(groups: number, pass: AttentionPass, profile: DeviceProfile): AttentionForm {
  const { tier, subgroups, vendor } = profile;
  if (tier === 'registers') return { share: 1, tile: 4, shared: false, shuffled: false };
  const share = 2 ** Math.ceil(Math.log2(Math.max(1, groups / 4)));
  const shuffled = share > 1 && subgroups !== undefined && share <= subgroups.min;
  const tile = pass === 'forward' ? 8 : pass === 'keys' && shuffled && vendor === 'apple' ? 2 : 4;
  return { share, tile, shared: true, shuffled };
}

/**
 * How attention is cut up on matrix units: a workgroup makes scores of `rows`×`columns` at a time, its subgroups two
 * side by side over every 16 rows. Head vectors are `padded` to whole matrices of both.
 */
export interface AttentionBlocks {
  readonly rows: number;
  readonly columns: number;
  readonly padded: number;
}

/** The blocks that there are, the first that fits workgroup memory is taken: larger ones read the rest less often. */
const attentionBlockSizes = [
  [32, 32],
  [16, 32],
  [16, 16],
] as const;

/**
 * The largest head whose sums subgroups hold in registers, by pass: dk and dv are two of them. RDNA 3, which holds an
 * operand's matrix twice, spills at 128. Of wider heads the gradients' blocks would leave room for one workgroup.
 */
function largestHead(pass: AttentionPass, { vendor }: DeviceProfile): number {
  if (pass === 'forward') return 256;
  return pass === 'keys' && vendor === 'amd' ? 96 : 128;
}

/**
 * The blocks of a pass of attention on matrix units; undefined where there are none, for fewer queries than fill half a
 * matrix, and where the registers or `memory`, bytes of workgroup memory, do not hold them: then attention goes by
 * threads (`attentionForm`).
 */
export function attentionBlocks(
  { queries, size }: { readonly queries: number; readonly size: number },
  pass: AttentionPass,
  { profile }: ChoiceContext,
  memory: number,
): AttentionBlocks | undefined {
  const { matrices } = profile;
  if (matrices === undefined || queries < 8 || size > largestHead(pass, profile)) return undefined;
  const padded = Math.ceil(size / (2 * matrices.n)) * 2 * matrices.n;
  const bytes = matrices.operand === 'f16' ? 2 : 4;
  const found = attentionBlockSizes.find(([rows, columns]) => {
    const blocks = (pass === 'forward' ? 1 : 2) * (rows + columns) * (padded + 8) * bytes;
    const scores = (pass === 'forward' ? 1 : 2) * rows * (columns + 4) * 4;
    const weights = (pass === 'keys' ? 2 : 1) * rows * (columns + 8) * bytes;
    const others = pass === 'keys' ? 16 * columns : pass === 'forward' ? 4 * rows * (1 + matrices.lanes / 8) : 0;
    return columns % (2 * matrices.n) === 0 && blocks + scores + weights + others + 64 <= memory;
  });
  return found === undefined ? undefined : { rows: found[0], columns: found[1], padded };
}
