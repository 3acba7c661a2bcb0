import {
  accepted,
  byName,
  choice,
  defineSettings,
  either,
  list,
  number,
  sameAs,
  setting,
  text,
  toggle,
  wholeNumber,
} from '@lowrank/settings';
import type { OptionsOf } from '@lowrank/settings';
import { evaSettings } from './evaSettings.js';
import type { LoraInit } from './loraInit.js';
import { isInitInFiles, isLoraInit, loraInits, wantsPlainLora } from './loraInit.js';
import { otherKeys } from './otherKeys.js';
import type { NamedVariant } from './variant.js';

const isOfPlainLora = (init: unknown): boolean => isLoraInit(init) && wantsPlainLora(init);
const isLoftq = (init: unknown): boolean => init === 'loftq';
const isEva = (init: unknown): boolean => init === 'eva';

/**
 * LoRA's settings: PEFT's LoraConfig, as far as Lowrank goes today, under its names in camel case. Each is declared
 * here and nowhere else: reading and writing of adapter_config.json, `loraConfig`, the command line, `plan` and the
 * studies go by this table.
 */
export const loraSettings = defineSettings(
  {
    code: 'lora.config',
    subject: 'the LoRA setting',
    ...otherKeys,
  },
  {
    /** Rank. */
    r: setting({
      schema: wholeNumber({ min: 1 }),
      default: 8,
      key: 'r',
      help: 'rank of the adapters',
      value: 'rank',
      aliases: ['rank', 'lora_r', 'lora_rank'],
      cost: true,
      onResume: 'same',
    }),
    /** The factor on BA is alpha/r, or alpha/√r with `useRslora`. Default: r, a factor of 1; in a file PEFT's 8. */
    alpha: setting({
      schema: number(),
      default: sameAs('r'),
      key: 'lora_alpha',
      file: { absent: 8 },
      help: 'numerator of the adapters’ factor, alpha/r',
      value: 'x',
      flagSchema: number({ above: 0 }),
      aliases: ['lora_alpha', 'scale'],
      onResume: 'same',
    }),
    /** On the input of A, while training. */
    dropout: setting({
      schema: number({ min: 0, below: 1 }),
      default: 0,
      key: 'lora_dropout',
      help: 'dropout before the adapters',
      value: 'rate',
      aliases: ['lora_dropout'],
      cost: true,
      onResume: 'free',
    }),
    /**
     * A list of names (exact, or the end of a path), a regular expression that matches whole paths, or 'all-linear'.
     */
    targetModules: setting({
      schema: either(list(text()), text()),
      required: true,
      key: 'target_modules',
      help: 'layers that get adapters: a,b or all-linear',
      see: './adapters#which-layers',
      value: 'names',
      otherwise: "PEFT's for the model",
      aliases: ['targets', 'lora_target_modules'],
      cost: true,
      onResume: 'same',
    }),
    excludeModules: setting({
      schema: either(list(text()), text()),
      key: 'exclude_modules',
      // Older versions of PEFT do not know this key.
      file: { omitted: true },
      help: 'layers to leave out even if a target names them: a,b',
      value: 'names',
      cost: true,
    }),
    layersToTransform: setting({
      schema: list(wholeNumber({ min: 0 })),
      key: 'layers_to_transform',
      file: { read: (json) => [json].flat() },
      help: 'adapt only these layers: 0,1',
      value: 'numbers',
      cost: true,
      excludes: [
        {
          setting: 'targetModules',
          is: (targets) => typeof targets === 'string',
          remedy: (name) => `Give ${name('targetModules')} as a list of names.`,
        },
      ],
    }),
    /** What stands before the number of a layer in a path. */
    layersPattern: setting({
      schema: list(text()),
      key: 'layers_pattern',
      file: { read: (json) => [json].flat() },
      help: 'what precedes the number of a layer in a path',
      flag: false,
      requires: [{ setting: 'layersToTransform' }],
    }),
    useRslora: setting({
      schema: toggle(),
      default: false,
      key: 'use_rslora',
      help: 'rsLoRA: scale the adapters by alpha/√r',
      see: './adapters#variants',
      aliases: ['rslora'],
    }),
    /** DoRA: magnitudes apart from directions. Plans leave it out: it needs the weights, and plans have none. */
    useDora: setting({
      schema: toggle(),
      key: 'use_dora',
      file: { unset: false },
      help: 'DoRA: train magnitudes and directions separately',
      see: './adapters#variants',
      aliases: ['dora'],
      excludes: [{ setting: 'init', is: isOfPlainLora }],
    }),
    /** A variant of your own, in place of PEFT's. */
    variant: setting({
      schema: accepted(
        (value): value is NamedVariant => typeof value === 'object' && value !== null && 'forward' in value,
        'a variant: an object with a name and what it does with A and B',
      ),
      help: 'a variant of your own, in place of PEFT’s',
      flag: false,
      excludes: [
        { setting: 'useDora' },
        { setting: 'init', is: isOfPlainLora },
        // Merging knows how a variant changes W, but not how it changes a bias.
        { setting: 'loraBias' },
      ],
    }),
    /** B has a bias too. */
    loraBias: setting({
      schema: toggle(),
      key: 'lora_bias',
      file: { omitted: true },
      help: 'B has a bias',
      cost: true,
      excludes: [{ setting: 'useDora' }, { setting: 'init', is: (init) => init !== 'kaiming' }],
    }),
    /** Biases of the base that are trained along, in place: of the adapted layers, or of all. */
    bias: setting({
      schema: choice(['none', 'all', 'lora_only']),
      default: 'none',
      key: 'bias',
      help: 'none, all, lora_only: biases of the model to train too',
      value: 'mode',
      cost: true,
    }),
    /**
     * Ranks of single modules: the first key that is the end of a path, or a regular expression that matches it,
     * counts.
     */
    rankPattern: setting({
      schema: byName(wholeNumber({ min: 1 })),
      default: {},
      key: 'rank_pattern',
      help: 'ranks of single layers: {"down_proj": 16}',
      value: 'json',
      cost: true,
    }),
    alphaPattern: setting({
      schema: byName(number()),
      default: {},
      key: 'alpha_pattern',
      help: 'alphas of single layers: {"down_proj": 32}',
      value: 'json',
    }),
    /** How A and B begin. */
    init: setting({
      schema: accepted(isLoraInit, `${loraInits.join(', ')} or pissa_niter_N`),
      default: 'kaiming',
      key: 'init_lora_weights',
      file: {
        // PEFT calls the default `true`. Other inits change the base in ways that cannot be computed again.
        read: (json) => {
          if (typeof json !== 'string') return 'kaiming';
          return isLoraInit(json) && isInitInFiles(json) ? json : undefined;
        },
        write: (init: LoraInit) => (init === 'kaiming' || init === 'loftq' ? true : init),
        expected: 'an initialization that leaves the base as it is, or olora, pissa or pissa_niter_N',
        remedy: 'Train or convert the adapter without it.',
      },
      help:
        `${loraInits.join(', ')} or pissa_niter_N: how new adapters begin; loftq takes up what --quantization ` +
        'loses, eva goes by the data',
      see: './adapters#how-an-adapter-begins',
      flag: 'init-lora-weights',
      value: 'name',
      text: {
        read: (name) => (name === 'true' ? 'kaiming' : isLoraInit(name) ? name : undefined),
        expected: `${loraInits.join(', ')} or pissa_niter_N`,
        kind: 'choice',
      },
      aliases: ['init_lora_weights', 'initLoraWeights'],
      requires: [
        {
          setting: 'quantization',
          when: isLoftq,
          values: 'nf4, fp4 or int8',
          remedy: 'LoftQ compensates for quantization; a dense layer needs none.',
        },
      ],
    }),
    /** With the init 'eva'. */
    eva: setting({
      schema: accepted(
        (value): value is OptionsOf<typeof evaSettings> =>
          typeof value === 'object' && value !== null && !Array.isArray(value),
        'an object of EVA’s settings',
      ),
      fields: evaSettings,
      key: 'eva_config',
      file: { omitted: true, onlyWith: { init_lora_weights: 'eva' } },
      help: 'settings of the init eva',
      requires: [
        {
          setting: 'init',
          is: isEva,
          values: 'eva',
          remedy: 'Leave it out, or begin with EVA.',
        },
      ],
    }),
    /**
     * The adapted layers hold W as [in, out] (GPT-2's Conv1D), so that a merge transposes ΔW. The layers themselves
     * know; merging files depends on it.
     */
    fanInFanOut: setting({
      schema: toggle(),
      default: false,
      key: 'fan_in_fan_out',
      help: 'the adapted layers hold W as [in, out]',
      flag: false,
    }),
    /**
     * Modules that are trained whole, as copies: what a module's path ends in. None of them, nor anything within, is a
     * target.
     */
    modulesToSave: setting({
      schema: list(text()),
      key: 'modules_to_save',
      file: { expected: 'a list of names' },
      help: 'modules that are trained and saved whole, by the ends of their paths: lm_head,embed_tokens',
      see: './adapters#beside-a-and-b',
      value: 'names',
      cost: true,
    }),
    /**
     * Tokens whose rows are trained, of the input embedding (and of an output projection that is tied to it), or of the
     * modules named.
     */
    trainableTokenIndices: setting({
      schema: either(list(wholeNumber({ min: 0 })), byName(list(wholeNumber({ min: 0 })))),
      key: 'trainable_token_indices',
      file: { omitted: true, expected: 'a list of token ids from 0, or lists by the names of modules' },
      help: 'tokens whose rows are trained, by id',
      flag: false,
    }),
    /** An embedding in `modulesToSave` and an output projection that is tied to it stay one. */
    ensureWeightTying: setting({
      schema: toggle(),
      key: 'ensure_weight_tying',
      file: { omitted: true },
      help: 'keep an embedding and an output projection tied when they are trained whole',
      cost: true,
    }),
    /** PEFT's name of the method where it is not LoRA: token rows alone. */
    peftType: setting({
      schema: choice(['TRAINABLE_TOKENS']),
      help: 'PEFT’s name of the method where it is not LoRA',
      flag: false,
    }),
    baseModel: setting({
      schema: text(),
      key: 'base_model_name_or_path',
      help: 'the model that the adapter is for',
      flag: false,
      onResume: 'free',
    }),
    /** Of the base model. */
    revision: setting({ schema: text(), key: 'revision', help: 'the revision of the base model', flag: false }),
    taskType: setting({
      schema: text(),
      key: 'task_type',
      file: { unset: 'CAUSAL_LM' },
      help: 'the task that the adapter is for, under PEFT’s name',
      flag: false,
    }),
  },
);
