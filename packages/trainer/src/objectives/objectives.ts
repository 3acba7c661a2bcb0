import type { MergedOptions } from '@lowrank/settings';
import { choice, defineSettings, setting } from '@lowrank/settings';
import { dpo } from './dpo.js';
import { kto } from './kto.js';
import type { Objective } from './objective.js';
import { orpo } from './orpo.js';
import { sft } from './sft.js';
import { simpo } from './simpo.js';

/** Every objective by its name. */
export const objectives = { sft, dpo, orpo, kto, simpo } as const;

/** A loss by its name, as `--loss` takes it. */
export type ObjectiveName = keyof typeof objectives;
/** The losses, in the order in which help lists them. */
export const objectiveNames = Object.keys(objectives) as [ObjectiveName, ...ObjectiveName[]];

/** The settings of all objectives together. */
export type ObjectiveOptions = MergedOptions<(typeof objectives)[ObjectiveName]['settings']>;

/** The objective of a name. */
export function objectiveNamed(name: ObjectiveName): Objective {
  return objectives[name];
}

/** Which objective a run has. */
export const objectiveSettings = defineSettings(
  { code: 'trainer.settings', subject: 'the setting' },
  {
    loss: setting({
      schema: choice(objectiveNames),
      default: 'sft',
      help: 'what is minimized: sft, the cross-entropy; or a preference loss: dpo, orpo, kto, simpo',
      see: './preferences',
      value: 'name',
      aliases: ['objective', 'loss_fn'],
      cost: true,
    }),
  },
);
