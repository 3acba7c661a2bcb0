import { LowrankError } from '@lowrank/errors';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { CausalModel } from './causalModel.js';
import type { ConfigReader } from './config.js';
import type { Encoder } from './encoder.js';
import type { FamilyFacts } from './familyFacts.js';
import { dropoutsOf } from './dropouts.js';
import type { HeadKind, HeadMaker, HeadRequest } from './head.js';
import { noHead, scoreHead } from './head.js';
import { bodyNames } from './renamed.js';
import { TaskModel } from './taskModel.js';
import type { TextModel } from './textModel.js';
import type { WeightSource } from './weights.js';

/** A family of models: what it states about itself, and how a config and weights become a model. */
export interface ModelFamily extends FamilyFacts {
  /** Whether its models read texts and write none. */
  readonly isEncoder: boolean;
  /**
   * @throws LowrankError `models.config` for what the family's code does not have; `models.encoder` for an encoder
   */
  build(config: ConfigReader, weights: WeightSource): CausalModel;
  /** @throws LowrankError `models.config`; `models.head` for a head that the family does not have */
  buildTask(config: ConfigReader, weights: WeightSource, request: HeadRequest): TaskModel;
  /** The checkpoint under the names that the model asks for: several ways to name the same weights are in use. */
  weights(file: SafetensorsFile): SafetensorsFile;
}

/** A family of decoders as its file declares it. */
export interface FamilyDefinition<Config> extends FamilyFacts {
  /** Reads and checks config.json, with the defaults of the family's config class in transformers. */
  readonly config: (reader: ConfigReader) => Config;
  readonly model: (config: Config, weights: WeightSource) => CausalModel;
  /** The part of the config that the decoder reads. Default: the whole. */
  readonly part?: (reader: ConfigReader) => ConfigReader;
  /** Default: checkpoints of the body alone, which leave out `model.`, are read too. */
  readonly weights?: (file: SafetensorsFile) => SafetensorsFile;
}

/** Declares a family of decoders: what each file in `families/` exports. */
// @__NO_SIDE_EFFECTS__
export function defineFamily<Config>({
  config,
  model,
  part = (reader) => reader,
  weights = (file) => bodyNames(file, { body: 'model', heads: ['lm_head', 'score'] }),
  ...facts
}: FamilyDefinition<Config>): ModelFamily {
  const build = (reader: ConfigReader, source: WeightSource): CausalModel => {
    const decoder = part(reader);
    for (const each of new Set([reader, decoder])) each.requireOff('is_encoder_decoder', 'per_layer_config');
    return withFacts(model(config(reader), source), decoder, facts);
  };
  return {
    ...facts,
    isEncoder: false,
    weights,
    build,
    buildTask(reader, source, request) {
      const body = build(reader, source);
      const head =
        request.kind === 'embedding' ? noHead : scoreHead({ config: undefined, weights: source, body, request });
      if (head === undefined) throw noSuchHead(facts, request);
      return new TaskModel(body, head, request);
    },
  };
}

/** A family of encoders as its file declares it. */
export interface EncoderDefinition<Config> extends FamilyFacts {
  /** Reads and checks config.json, with the defaults of the family's config class in transformers. */
  readonly config: (reader: ConfigReader) => Config;
  /** The body below the head of some kind. */
  readonly body: (config: Config, weights: WeightSource, kind: HeadKind) => Encoder;
  readonly head: HeadMaker<Config, Encoder>;
  /** The part of the config that the encoder reads. Default: the whole. */
  readonly part?: (reader: ConfigReader) => ConfigReader;
  readonly weights: (file: SafetensorsFile) => SafetensorsFile;
  /** Beginnings of the names of weights that it does without below some heads. */
  readonly unused?: readonly string[];
}

/** Declares a family of encoders. */
// @__NO_SIDE_EFFECTS__
export function defineEncoder<Config>({
  config,
  body: makeBody,
  head: makeHead,
  part = (reader) => reader,
  weights,
  unused = [],
  ...facts
}: EncoderDefinition<Config>): ModelFamily {
  return {
    ...facts,
    isEncoder: true,
    weights,
    build(reader) {
      throw new LowrankError({
        code: 'models.encoder',
        what: reader.name,
        expected: 'a model that writes text',
        got: `${facts.name}, an encoder`,
        remedy: `Use it for a task: ${
          facts.readsImages === true
            ? 'image-classification'
            : 'text-classification, token-classification, question-answering, feature-extraction'
        }.`,
        setting: 'task',
      });
    },
    buildTask(reader, source, request) {
      reader.requireOff('is_encoder_decoder', 'per_layer_config');
      const read = config(part(reader));
      const body = withFacts(makeBody(read, source, request.kind), part(reader), facts);
      body.unusedWeights = unused;
      const head = makeHead({ config: read, weights: source, body, request });
      if (head === undefined) throw noSuchHead(facts, request);
      return new TaskModel(body, head, request);
    },
  };
}

function withFacts<Model extends TextModel>(model: Model, config: ConfigReader, facts: FamilyFacts): Model {
  model.family = facts;
  model.dropouts = dropoutsOf(config, facts);
  model.paddingId = config.ids('pad_token_id').find((id) => id >= 0);
  return model;
}

const tasksOf: Readonly<Record<HeadKind, string>> = {
  sequence: 'text-classification',
  tokens: 'token-classification',
  span: 'question-answering',
  embedding: 'feature-extraction',
  image: 'image-classification',
};

const ofImages = 'ViT, DINOv2 or SigLIP';
const ofTexts = 'BERT, RoBERTa, DistilBERT or ModernBERT';

/** @throws LowrankError `models.head` for texts where a family reads images, and the other way round */
export function checkReads(family: FamilyFacts, kind: HeadKind): void {
  if ((family.readsImages === true) !== (kind === 'image')) throw noSuchHead(family, { kind });
}

function noSuchHead({ name, readsImages = false }: FamilyFacts, { kind }: Pick<HeadRequest, 'kind'>): LowrankError {
  return new LowrankError({
    code: 'models.head',
    what: `a head for ${tasksOf[kind]} on ${name}`,
    expected: readsImages
      ? 'image-classification, since it reads images'
      : kind === 'image'
        ? 'a model that reads images'
        : 'text-classification or feature-extraction, which decoders are used for',
    got: kind === 'image' ? 'one that reads texts' : tasksOf[kind],
    remedy: readsImages ? undefined : `Use an encoder for it: ${kind === 'image' ? ofImages : ofTexts}.`,
    setting: 'task',
  });
}
