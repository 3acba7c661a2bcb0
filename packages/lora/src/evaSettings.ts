import { defineSettings, number, setting, toggle, wholeNumber } from '@lowrank/settings';

/** Settings of EVA: PEFT's EvaConfig. */
export const evaSettings = defineSettings(
  { code: 'lora.config', subject: 'the EVA setting' },
  {
    /** A layer gets at most rho times its rank; 1 leaves the ranks as they are. */
    rho: setting({
      schema: number({ min: 1 }),
      default: 2,
      key: 'rho',
      help: 'with eva: the most that a layer’s rank may grow, as a factor; other layers get less',
      flag: 'eva-rho',
      value: 'x',
    }),
    /** Batches of rows that it looks at. */
    batches: setting({
      schema: wholeNumber({ min: 1 }),
      default: 32,
      help: 'with eva: batches of rows to look at',
      flag: 'eva-batches',
      value: 'n',
    }),
    /**
     * When PEFT's approximation stops. Kept for the file: Lowrank goes through the data once, and its directions are
     * exact.
     */
    tau: setting({
      schema: number({ min: 0, max: 1 }),
      default: 0.99,
      key: 'tau',
      help: 'when PEFT’s approximation stops; kept for the file',
      flag: false,
    }),
    /** Count only the tokens that the loss covers. */
    useLabelMask: setting({
      schema: toggle(),
      default: true,
      key: 'use_label_mask',
      help: 'count only the tokens that the loss covers',
      flag: false,
    }),
    /** The label of those that are not. */
    labelMaskValue: setting({
      schema: wholeNumber(),
      default: -100,
      key: 'label_mask_value',
      help: 'the label of tokens that the loss leaves out',
      flag: false,
    }),
    /** Divide each direction by the root of its singular value. */
    whiten: setting({
      schema: toggle(),
      default: false,
      key: 'whiten',
      help: 'divide each direction by the root of its singular value',
      flag: false,
    }),
    /** Where a rank changes, alpha changes with it, so that the factor on BA stays. */
    adjustScalingFactors: setting({
      schema: toggle(),
      default: true,
      key: 'adjust_scaling_factors',
      help: 'change alpha with a layer’s rank, so that the factor on BA stays the same',
      flag: false,
    }),
  },
);
