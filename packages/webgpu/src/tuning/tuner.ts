import type { Plan } from '@lowrank/tensor/backend';
import type { MatmulAttrs } from '@lowrank/tensor/op';
import type { ProductSize } from '../choices.js';
import { sizeOfProduct } from '../kernels/matmul.js';
import { productCandidates } from './productCandidates.js';
import type { Candidate, CandidateContext } from './productCandidates.js';
import type { ContestedProduct, OpenContest } from './productContest.js';
import { race } from './race.js';
import type { Deadline } from './race.js';
import { shapeClass } from './shapeClass.js';
import { readDecisions, writeDecisions } from './tuningRecord.js';
import type { Decision, TuningScope } from './tuningRecord.js';
import type { TunerOptions } from './tunerOptions.js';

/** What times products: a device, or in tests something that says times. */
export interface Stage extends CandidateContext {
  readonly now: () => number;
  open(
    product: ContestedProduct,
    candidates: readonly Candidate[],
    deadline: Deadline,
  ): Promise<OpenContest | undefined>;
}

/** The product that stands for a class, and the work of all that are of it. */
interface Contested extends ContestedProduct {
  flops: number;
}

/**
 * Decides on a form for each class of products, once, the dearest first: by what was kept, else by measuring for a few
 * seconds in all. Classes that no time is left for, or that are too short for the clock, keep the table's form, and
 * that is kept too: the next run computes the same.
 *
 * All is measured before the first step, not behind the first steps. The forms of a class may sum in different orders:
 * a run whose forms changed at a step that a clock decided could not be repeated, and a checkpoint would have to tell
 * which step had which. Launches of a step in between would disturb what is timed, so that the choice itself would
 * change from run to run; and the device would be as busy, only later. It is a few seconds, once for a device and
 * driver.
 */
export class Tuner {
  readonly #stage: Stage;
  readonly #options: TunerOptions & { readonly name: string; readonly scope: TuningScope };
  readonly #decisions = new Map<string, Decision>();
  #loading: Promise<void> | undefined;
  /** Milliseconds that may still be spent. */
  #left: number;
  #isBlind = false;

  constructor(stage: Stage, options: TunerOptions & { readonly name: string; readonly scope: TuningScope }) {
    this.#stage = stage;
    this.#options = options;
    this.#left = 1000 * (options.seconds ?? 3);
  }

  /** The name of the form that was chosen; undefined for the table's, and for classes that are not decided. */
  chosen(key: string): string | undefined {
    return this.#decisions.get(key)?.form;
  }

  /**
   * Decides on the classes of a plan that are not decided yet. Returns whether there are more forms than before that
   * are not the table's, those that were kept included.
   */
  async decide(plan: Plan): Promise<boolean> {
    const before = this.#forms();
    await (this.#loading ??= this.#load());
    const contested = [...contestedIn(plan).values()].filter((each) => !this.#isDecided(each));
    if (contested.length === 0 || this.#isBlind) return this.#forms() > before;
    const { now } = this.#stage;
    const began = now();
    const deadline = { now, end: began + this.#left };
    const dearestFirst = contested.toSorted((a, b) => b.flops - a.flops || (a.shape.key < b.shape.key ? -1 : 1));
    const decided: Decision[] = [];
    for (const product of dearestFirst) {
      const told = await this.#measure(product, deadline);
      const hasTold = [...this.#decisions.values()].some(({ best }) => best !== undefined);
      if (told === undefined && !hasTold) {
        this.#isBlind = true;
        break;
      }
      // A clock that told of dearer classes is too coarse for this one: that is kept too.
      const decision = told ?? { form: undefined };
      this.#decisions.set(product.shape.key, decision);
      decided.push(decision);
    }
    this.#left = Math.max(0, deadline.end - now());
    await this.#keep();
    const faster = decided.filter(({ form }) => form !== undefined).length;
    const measured = decided.filter(({ best }) => best !== undefined).length;
    if (decided.length > 0)
      this.#options.onTuned?.({ classes: decided.length, measured, faster, seconds: (now() - began) / 1000 });
    return this.#forms() > before;
  }

  #forms(): number {
    return [...this.#decisions.values()].filter(({ form }) => form !== undefined).length;
  }

  /** Also whether the form that was kept is still one of those to choose among. */
  #isDecided({ shape, size }: Contested): boolean {
    const decision = this.#decisions.get(shape.key);
    if (decision?.form === undefined) return decision !== undefined;
    return productCandidates(size, this.#stage).some(({ name }) => name === decision.form);
  }

  /** Undefined where the device's clock does not tell. */
  async #measure(product: Contested, deadline: Deadline): Promise<Decision | undefined> {
    const late = { form: undefined };
    if (deadline.now() >= deadline.end) return late;
    const contest = await this.#stage.open(product, productCandidates(product.size, this.#stage), deadline);
    if (contest === undefined) return late;
    try {
      const outcome = await race(contest, deadline);
      if (outcome === 'late') return late;
      if (outcome === 'blind') return undefined;
      const { winner, table, best } = outcome;
      return { form: winner === 0 ? undefined : contest.candidates[winner]?.name, table, best };
    } finally {
      contest.dispose();
    }
  }

  async #load(): Promise<void> {
    const { store, name, scope } = this.#options;
    const text = await store?.read(name).catch(() => undefined);
    const kept = text === undefined ? undefined : readDecisions(text, scope);
    for (const [key, decision] of kept ?? []) this.#decisions.set(key, decision);
  }

  /** A cache that cannot be written costs the next run some seconds, and this one nothing. */
  async #keep(): Promise<void> {
    const { store, name, scope } = this.#options;
    await store?.write(name, writeDecisions(this.#decisions, scope)).catch(() => undefined);
  }
}

/** The classes of a plan's products. */
function contestedIn(plan: Plan): Map<string, Contested> {
  const found = new Map<string, Contested>();
  for (const { op, attrs: given, inputs, flops } of plan.steps) {
    if (op !== 'matmul') continue;
    const attrs = given as MatmulAttrs;
    const whole = sizeOfProduct(inputs, attrs);
    const shape = shapeClass(whole);
    const [a, b] = [inputs[0], inputs[attrs.left === undefined ? 1 : 2]];
    if (shape === undefined || a === undefined || b === undefined) continue;
    const known = found.get(shape.key);
    if (known !== undefined) known.flops += flops;
    else found.set(shape.key, { shape, size: sizeOfClass(whole, shape), attrs, dtypes: [a.dtype, b.dtype], flops });
  }
  return found;
}

/** The size that a class is measured by. */
export function sizeOfClass(size: ProductSize, shape: { m: number; n: number; k: number }): ProductSize {
  return { ...size, m: shape.m, n: shape.n, k: shape.k };
}
