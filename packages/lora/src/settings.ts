import { number, withFaces } from '@lowrank/settings';
import { evaSettings } from './evaSettings.js';
import type { LoraInit } from './loraInit.js';
import { isInitInFiles, isLoraInit, loraInits, wantsPlainLora } from './loraInit.js';
import { loraValues } from './loraValues.js';
import { otherKeys } from './otherKeys.js';

const isOfPlainLora = (init: unknown): boolean => isLoraInit(init) && wantsPlainLora(init);
const isLoftq = (init: unknown): boolean => init === 'loftq';
const isEva = (init: unknown): boolean => init === 'eva';

/**
 * LoRA's settings: what they take (loraValues.ts), and here their names in files and on command lines, their help, and
 * what goes with what. Nothing of them is anywhere else: reading and writing of adapter_config.json, `loraConfig`, the
 * command line, `plan` and the studies go by this table.
 */
export const loraSettings = withFaces(
  { ...loraValues, ...otherKeys },
  {
    r: {
      key: 'r',
      help: 'rank of the adapters',
      value: 'rank',
      cost: true,
      onResume: 'same',
    },
    alpha: {
      key: 'lora_alpha',
      file: { absent: 8 },
      help: 'numerator of the adapters’ factor, alpha/r',
      value: 'x',
      flagSchema: number({ above: 0 }),
      onResume: 'same',
    },
    dropout: {
      key: 'lora_dropout',
      help: 'dropout before the adapters',
      value: 'rate',
      cost: true,
      onResume: 'free',
    },
    targetModules: {
      key: 'target_modules',
      help: 'layers that get adapters: a,b or all-linear',
      see: './adapters#which-layers',
      value: 'names',
      otherwise: "PEFT's for the model",
      cost: true,
      onResume: 'same',
    },
    excludeModules: {
      key: 'exclude_modules',
      // Older versions of PEFT do not know this key.
      file: { omitted: true },
      help: 'layers to leave out even if a target names them: a,b',
      value: 'names',
      cost: true,
    },
    layersToTransform: {
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
    },
    layersPattern: {
      key: 'layers_pattern',
      file: { read: (json) => [json].flat() },
      help: 'what precedes the number of a layer in a path',
      flag: false,
      requires: [{ setting: 'layersToTransform' }],
    },
    useRslora: {
      key: 'use_rslora',
      help: 'rsLoRA: scale the adapters by alpha/√r',
      see: './adapters#variants',
    },
    useDora: {
      key: 'use_dora',
      file: { unset: false },
      help: 'DoRA: train magnitudes and directions separately',
      see: './adapters#variants',
      excludes: [{ setting: 'init', is: isOfPlainLora }],
    },
    variant: {
      help: 'a variant of your own, in place of PEFT’s',
      flag: false,
      excludes: [
        { setting: 'useDora' },
        { setting: 'init', is: isOfPlainLora },
        // Merging knows how a variant changes W, but not how it changes a bias.
        { setting: 'loraBias' },
      ],
    },
    loraBias: {
      key: 'lora_bias',
      file: { omitted: true },
      help: 'B has a bias',
      cost: true,
      excludes: [{ setting: 'useDora' }, { setting: 'init', is: (init) => init !== 'kaiming' }],
    },
    bias: {
      key: 'bias',
      help: 'none, all, lora_only: biases of the model to train too',
      value: 'mode',
      cost: true,
    },
    rankPattern: {
      key: 'rank_pattern',
      help: 'ranks of single layers: {"down_proj": 16}',
      value: 'json',
      cost: true,
    },
    alphaPattern: {
      key: 'alpha_pattern',
      help: 'alphas of single layers: {"down_proj": 32}',
      value: 'json',
    },
    init: {
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
      requires: [
        {
          setting: 'quantization',
          when: isLoftq,
          values: 'nf4, fp4 or int8',
          remedy: 'LoftQ compensates for quantization; a dense layer needs none.',
        },
      ],
    },
    eva: {
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
    },
    fanInFanOut: {
      key: 'fan_in_fan_out',
      help: 'the adapted layers hold W as [in, out]',
      flag: false,
    },
    modulesToSave: {
      key: 'modules_to_save',
      file: { expected: 'a list of names' },
      help: 'modules that are trained and saved whole, by the ends of their paths: lm_head,embed_tokens',
      see: './adapters#beside-a-and-b',
      value: 'names',
      cost: true,
    },
    trainableTokenIndices: {
      key: 'trainable_token_indices',
      file: { omitted: true, expected: 'a list of token ids from 0, or lists by the names of modules' },
      help: 'tokens whose rows are trained, by id',
      flag: false,
    },
    ensureWeightTying: {
      key: 'ensure_weight_tying',
      file: { omitted: true },
      help: 'keep an embedding and an output projection tied when they are trained whole',
      cost: true,
    },
    peftType: {
      help: 'PEFT’s name of the method where it is not LoRA',
      flag: false,
    },
    baseModel: {
      key: 'base_model_name_or_path',
      help: 'the model that the adapter is for',
      flag: false,
      onResume: 'free',
    },
    revision: {
      key: 'revision',
      help: 'the revision of the base model',
      flag: false,
    },
    taskType: {
      key: 'task_type',
      file: { unset: 'CAUSAL_LM' },
      help: 'the task that the adapter is for, under PEFT’s name',
      flag: false,
    },
    autoMapping: {
      key: 'auto_mapping',
      file: { omitted: true },
      help: 'the class that the adapter belongs to, where PEFT has no task type that says it',
      flag: false,
    },
  },
);
