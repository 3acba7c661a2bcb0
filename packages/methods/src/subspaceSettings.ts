import { choice, defineSettings, setting, toggle, wholeNumber } from '@lowrank/settings';

/** Settings of random subspaces. */
export const subspaceSettings = defineSettings(
  { code: 'methods.subspace', subject: 'the subspace setting' },
  {
    /** d: what is trained, the scales of layers among it. */
    dimension: setting({
      schema: wholeNumber({ min: 1 }),
      required: true,
      help: 'the number of trained parameters',
      see: './intrinsicDimension',
      value: 'd',
      example: '1000',
    }),
    projection: setting({
      schema: choice(['sparse', 'fastfood']),
      default: 'sparse',
      help: 'the projection onto the weights: sparse or fastfood',
      see: './intrinsicDimension#the-two-projections',
      value: 'name',
    }),
    /** Coordinates that a weight of the sparse projection is the sum of. */
    entries: setting({
      schema: wholeNumber({ min: 1 }),
      default: 1,
      help: 'with the sparse projection: coordinates that each weight sums',
      value: 's',
      excludes: [
        {
          setting: 'projection',
          is: (projection) => projection === 'fastfood',
          remedy: (name) => `Every row of Fastfood is dense; leave ${name('entries')} out.`,
        },
      ],
    }),
    /** A learned scale for each layer, out of d (the paper's SAID). */
    structureAware: setting({
      schema: toggle(),
      default: false,
      help: 'a learned scale for each layer, out of d',
    }),
  },
);
