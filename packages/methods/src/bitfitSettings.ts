import { defineSettings, either, list, setting, text } from '@lowrank/settings';

/** Settings of BitFit. */
export const bitfitSettings = defineSettings(
  { code: 'methods.settings', subject: 'the BitFit setting' },
  {
    /**
     * Names of layers (exact, or the end of a path), a regular expression that matches whole paths, or 'all-linear'.
     */
    targetModules: setting({
      schema: either(list(text()), text()),
      key: 'target_modules',
      help: 'layers whose biases are trained: a,b or all-linear',
      value: 'names',
      otherwise: 'all that have one',
      cost: true,
      onResume: 'same',
    }),
  },
);
