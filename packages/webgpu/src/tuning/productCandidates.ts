import { chooseProduct, tableForm, tileElement } from '../choices.js';
import type { MeasuredForm, ProductForm, ProductSize } from '../choices.js';
import type { Limits } from '../constants.js';
import type { DeviceProfile } from '../profile.js';

/** A form that a product may take, by a name that files keep. */
export interface Candidate {
  readonly name: string;
  readonly form: MeasuredForm;
}

/** What candidates are for. */
export interface CandidateContext {
  readonly profile: DeviceProfile;
  readonly limits: Limits;
}

/** Forms beside the table's that are looked at for one class: the nearest to it. */
const near = 14;

/**
 * The forms to choose among for a product: the table's own first, then those of the same kind that are nearest to it,
 * by how often a size is doubled or halved, and are not much larger than the result; each also with k in one part
 * where it would be split. All come from the same generator of kernels, and stay within the limits of the device.
 */
export function productCandidates(size: ProductSize, context: CandidateContext): readonly Candidate[] {
  const { profile } = context;
  const table = tableForm(size, profile);
  const others = formsOf(table.kind, profile)
    .filter(
      (form) => fits(form, context) && isAligned(form, table) && covered(form, size) <= 1.5 * covered(table, size),
    )
    .map((form) => ({ form, distance: distance(form, table) }))
    .filter((each) => each.distance > 0)
    .sort((a, b) => a.distance - b.distance || (nameOf(a.form) < nameOf(b.form) ? -1 : 1))
    .slice(0, near)
    .map(({ form }) => form);
  return [table, ...others].flatMap((form): Candidate[] => {
    const split = { ...form, whole: false };
    const { splits } = chooseProduct(size, { profile, tuning: { measured: () => split } });
    const forms = splits === 1 ? [split] : [split, { ...form, whole: true }];
    return forms.map((each) => ({ name: nameOf(each), form: each }));
  });
}

function nameOf({ kind, tm, tn, wx, wy, bk, whole }: ProductForm & { readonly whole?: boolean }): string {
  return `${kind} ${tm}x${tn} of ${wx}x${wy} by ${bk}${whole === true ? ' whole' : ''}`;
}

function formsOf(kind: ProductForm['kind'], { matrices }: DeviceProfile): ProductForm[] {
  const forms: ProductForm[] = [];
  const { tm, tn, wx, wy, bk } = sizes[kind];
  for (const each of tm)
    for (const columns of tn)
      for (const x of wx)
        for (const y of wy) for (const step of bk) forms.push({ kind, tm: each, tn: columns, wx: x, wy: y, bk: step });
  if (kind === 'register') return forms;
  const lanes = kind === 'matrix' ? (matrices?.lanes ?? 32) : 1;
  return forms.filter((form) => [64, 128, 256].includes(form.wx * form.wy * lanes) && form.tm * form.tn <= 1024);
}

/** What the generators take: registers for at most 64 results a thread, tiles of whole words of codes. */
const sizes = {
  // As wide as the subgroup, which only software has small enough.
  lanes: { tm: [], tn: [], wx: [], wy: [], bk: [] },
  register: { tm: [1, 2, 4, 8, 16], tn: [4, 8], wx: [1, 2, 4], wy: [1, 2, 4], bk: [4] },
  tile: { tm: [1, 2, 4, 8], tn: [4, 8], wx: [1, 2, 4, 8, 16], wy: [2, 4, 8, 16, 32, 64], bk: [8, 16, 32] },
  vector: { tm: [4], tn: [1], wx: [8, 16, 32, 64], wy: [1, 2, 4, 8, 16], bk: [4] },
  matrix: { tm: [16, 32], tn: [16, 32], wx: [1, 2, 4], wy: [1, 2, 4], bk: [16, 32, 64] },
} as const;

function fits(form: ProductForm, { profile, limits }: CandidateContext): boolean {
  const { kind, tm, tn, wx, wy, bk } = form;
  const [bm, bn] = [tm * wy, tn * wx];
  if (kind === 'register' || kind === 'lanes') return true;
  const element = tileElement(profile) === 'f16' ? 2 : 4;
  const tiles = {
    tile: bk * (bm + 1 + bn + 1) * element,
    // For up to four rows, three sums of each.
    vector: wx * wy * 12 * 4,
    // As they lie with eight more elements a row, by rows or by columns; and the results on their way out.
    matrix:
      [bm, bn].reduce((sum, width) => sum + Math.max((bk + 8) * width, (width + 8) * bk), 0) * element +
      wx * wy * 16 * 16 * 4,
  };
  const codes = 16 * 4;
  const threads = wx * wy * (kind === 'matrix' ? (profile.matrices?.lanes ?? 32) : 1);
  return (
    (kind === 'vector' || (bm % 4 === 0 && bn % 8 === 0)) &&
    tiles[kind] + codes <= limits.maxComputeWorkgroupStorageSize &&
    threads <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX)
  );
}

/** Rows of the left operand are loaded by fours where they are stored side by side: a thread's begin at one then. */
function isAligned({ kind, tm }: ProductForm, table: ProductForm): boolean {
  return kind !== 'register' || tm >= Math.min(4, table.tm);
}

/** Results that the workgroups make room for. */
function covered({ kind, tm, tn, wx, wy }: ProductForm, { m, n }: ProductSize): number {
  if (kind === 'vector') return m * n;
  const [bm, bn] = [tm * wy, tn * wx];
  return Math.ceil(m / bm) * bm * Math.ceil(n / bn) * bn;
}

function distance(a: ProductForm, b: ProductForm): number {
  const names = ['tm', 'tn', 'wx', 'wy', 'bk'] as const;
  return names.reduce((sum, name) => sum + Math.abs(Math.log2(a[name] / b[name])), 0);
}
