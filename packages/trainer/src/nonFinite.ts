import { LowrankError } from '@lowrank/errors';

/**
 * Loss or gradient of a step are NaN or infinite, and the weights are those from before that step; or its update has
 * made weights so.
 */
export class NonFiniteError extends LowrankError {
  readonly step: number;
  /** The first op, with its module path, or the tensor, that is not finite. */
  readonly origin: string | undefined;

  constructor({
    step,
    loss,
    gradNorm,
    origin,
    updated,
    inRow = 1,
  }: {
    step: number;
    loss: number;
    gradNorm: number;
    origin?: string | undefined;
    /** The parameter that the update of the step has made so. */
    updated?: string;
    /** Such steps one after another, this one included. */
    inRow?: number;
  }) {
    const cause = origin === undefined ? '' : `; the first value that is not finite is made by ${origin}`;
    const result = updated === undefined ? cause : `, and ${updated} is not finite after its update`;
    const kept = updated === undefined ? 'The weights were left as they were before this step. ' : 'Nothing is saved. ';
    const many = inRow > 1 ? `; the batches of the ${inRow - 1} steps before were skipped for the same reason` : '';
    super({
      code: 'trainer.nonFinite',
      what: `step ${step}`,
      expected: updated === undefined ? 'a finite loss and gradient' : 'finite weights',
      got: `loss ${loss}, gradient norm ${gradNorm}${result}${many}`,
      remedy: `${kept}Lower the learning rate, clip the gradient, or look at the rows of this step.`,
    });
    this.step = step;
    this.origin = origin ?? updated;
  }
}
