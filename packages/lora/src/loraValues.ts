import {
  accepted,
  byName,
  choice,
  either,
  list,
  number,
  optional,
  required,
  sameAs,
  settled,
  text,
  toggle,
  wholeNumber,
} from '@lowrank/settings';
import type { OptionsOf, ValueTable } from '@lowrank/settings';
import type { evaSettings } from './evaSettings.js';
import { isLoraInit, loraInits } from './loraInit.js';
import type { NamedVariant } from './variant.js';

/**
 * What LoRA's settings take and begin with: PEFT's LoraConfig, as far as Lowrank goes today, under its names in camel
 * case. It is all that `loraConfig` looks at; their names in files and on command lines, their help and what goes with
 * what are in settings.ts.
 */
export const loraValues = {
  code: 'lora.config',
  subject: 'the LoRA setting',
  settings: {
    /** Rank. */
    r: settled(wholeNumber({ min: 1 }), 8, 'rank', 'lora_r', 'lora_rank'),
    /** The factor on BA is alpha/r, or alpha/√r with `useRslora`. Default: r, a factor of 1; in a file PEFT's 8. */
    alpha: settled(number(), sameAs('r'), 'lora_alpha', 'scale'),
    /** On the input of A, while training. */
    dropout: settled(number({ min: 0, below: 1 }), 0, 'lora_dropout'),
    /**
     * A list of names (exact, or the end of a path), a regular expression that matches whole paths, or 'all-linear'.
     */
    targetModules: required(either(list(text()), text()), 'targets', 'lora_target_modules'),
    excludeModules: optional(either(list(text()), text())),
    layersToTransform: optional(list(wholeNumber({ min: 0 }))),
    /** What stands before the number of a layer in a path. */
    layersPattern: optional(list(text())),
    useRslora: settled(toggle(), false, 'rslora'),
    /** DoRA: magnitudes apart from directions. Plans leave it out: it needs the weights, and plans have none. */
    useDora: optional(toggle(), 'dora'),
    /** A variant of your own, in place of PEFT's. */
    variant: optional(
      accepted(
        (value): value is NamedVariant => typeof value === 'object' && value !== null && 'forward' in value,
        'a variant: an object with a name and what it does with A and B',
      ),
    ),
    /** B has a bias too. */
    loraBias: optional(toggle()),
    /** Biases of the base that are trained along, in place: of the adapted layers, or of all. */
    bias: settled(choice(['none', 'all', 'lora_only']), 'none'),
    /**
     * Ranks of single modules: the first key that is the end of a path, or a regular expression that matches it,
     * counts.
     */
    rankPattern: settled(byName(wholeNumber({ min: 1 })), {}),
    alphaPattern: settled(byName(number()), {}),
    /** How A and B begin. */
    init: settled(
      accepted(isLoraInit, `${loraInits.join(', ')} or pissa_niter_N`),
      'kaiming',
      'init_lora_weights',
      'initLoraWeights',
    ),
    /** With the init 'eva'. */
    eva: optional(
      accepted(
        (value): value is OptionsOf<typeof evaSettings> =>
          typeof value === 'object' && value !== null && !Array.isArray(value),
        'an object of EVA’s settings',
      ),
    ),
    /**
     * The adapted layers hold W as [in, out] (GPT-2's Conv1D), so that a merge transposes ΔW. The layers themselves
     * know; merging files depends on it.
     */
    fanInFanOut: settled(toggle(), false),
    /**
     * Modules that are trained whole, as copies: what a module's path ends in. None of them, nor anything within, is a
     * target.
     */
    modulesToSave: optional(list(text())),
    /**
     * Tokens whose rows are trained, of the input embedding (and of an output projection that is tied to it), or of the
     * modules named.
     */
    trainableTokenIndices: optional(either(list(wholeNumber({ min: 0 })), byName(list(wholeNumber({ min: 0 }))))),
    /** An embedding in `modulesToSave` and an output projection that is tied to it stay one. */
    ensureWeightTying: optional(toggle()),
    /** PEFT's name of the method where it is not LoRA: token rows alone. */
    peftType: optional(choice(['TRAINABLE_TOKENS'])),
    baseModel: optional(text()),
    /** Of the base model. */
    revision: optional(text()),
    taskType: optional(text()),
    /** The class that the adapter belongs to, where PEFT has no task type that says it. */
    autoMapping: optional(byName(text())),
  },
} satisfies ValueTable;
