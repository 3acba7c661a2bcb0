import { defineSettings, either, list, setting, text, wholeNumber } from '@lowrank/settings';

/** Width of a bottleneck adapter's hidden layer where none is given. */
export const defaultBottleneck = 64;

/** Settings of bottleneck adapters. */
export const bottleneckSettings = defineSettings(
  { code: 'methods.settings', subject: 'the adapter setting' },
  {
    /** Width of the bottleneck. */
    bottleneck: setting({
      schema: wholeNumber({ min: 1 }),
      default: defaultBottleneck,
      key: 'bottleneck_size',
      help: 'width of the adapters',
      value: 'n',
      cost: true,
      onResume: 'same',
    }),
    /**
     * Names of layers (exact, or the end of a path), a regular expression that matches whole paths, or 'all-linear'.
     */
    targetModules: setting({
      schema: either(list(text()), text()),
      key: 'target_modules',
      help: 'layers to place them after: a,b or all-linear',
      value: 'names',
      otherwise: 'those that write to the residual stream',
      cost: true,
      onResume: 'same',
    }),
  },
);
