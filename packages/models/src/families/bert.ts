import { eachKey, followed, ignored, refused } from '@lowrank/settings';
import { bertBody, bertConfig, tokenHeads } from '../bertParts.js';
import { modelKeys } from '../configKeys.js';
import { defineEncoder } from '../family.js';
import type { HeadKind } from '../head.js';
import { headLinear } from '../head.js';
import { encoderNames } from '../renamed.js';

/** What BERT, RoBERTa and XLM-R share. */
export const bertKeys = {
  ...modelKeys,
  ...eachKey(
    [
      'hidden_size',
      'num_hidden_layers',
      'num_attention_heads',
      'intermediate_size',
      'max_position_embeddings',
      'type_vocab_size',
      'layer_norm_eps',
      'hidden_act',
    ],
    followed('what it does in transformers'),
  ),
  position_embedding_type: refused('anything but absolute'),
  is_decoder: refused('true: it reads texts, and writes none'),
  add_cross_attention: refused('true: there is no other text to look at'),
  ...eachKey(
    ['pooler_fc_size', 'pooler_num_attention_heads', 'pooler_num_fc_layers', 'pooler_size_per_head', 'pooler_type'],
    ignored('of a pooler that transformers does not make'),
  ),
  directionality: ignored('a record'),
};

/** What PEFT has no default for, of the dropouts of BERT's class. */
export const bertDropouts = { hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1 };

/** AutoModel makes a pooler too, which the mean of hidden states does without: adapters may be around it. */
function readsPooler(kind: HeadKind): boolean {
  return kind === 'sequence' || kind === 'embedding';
}

/** BERT (Devlin et al. 2018), as BertModel and the classes with a head name things. */
export const bert = defineEncoder({
  name: 'BERT',
  modelTypes: ['bert'],
  models: 'BERT, MiniLM, bge, e5, gte',
  features: 'reads both ways, learned positions, token types, norms after each block',
  className: 'Bert',
  defaultTargets: ['query', 'value'],
  residualWriters: ['output.dense'],
  configKeys: bertKeys,
  dropouts: bertDropouts,
  config: (reader) => bertConfig(reader, { vocabularySize: 30_522, paddingId: 0, offsetsPositions: false }),
  body: (config, weights, kind) => bertBody(config, weights, { root: 'bert', hasPooler: readsPooler(kind) }),
  head(parts) {
    const { weights, body, request } = parts;
    if (request.kind !== 'sequence') return tokenHeads(parts);
    return {
      modules: { classifier: headLinear(weights, 'classifier', [request.labels, body.shape.hiddenSize]) },
      reads: 'first',
      forward: (rows, layer) => layer('classifier').forward(body.beside('pooler', rows)),
    };
  },
  weights: (file) => encoderNames(file, 'bert'),
  unused: ['bert.pooler.'],
});
