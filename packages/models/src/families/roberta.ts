import { Module } from '@lowrank/nn';
import type { Layer } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { tanh } from '@lowrank/tensor';
import { bertBody, bertConfig, tokenHeads } from '../bertParts.js';
import { defineEncoder } from '../family.js';
import { headLinear } from '../head.js';
import { encoderNames } from '../renamed.js';
import type { WeightSource } from '../weights.js';
import { bertDropouts, bertKeys } from './bert.js';

/** out_proj(tanh(dense(x))) of the first token. */
class RobertaHead extends Module implements Layer {
  constructor(weights: WeightSource, width: number, labels: number) {
    super();
    this.child('dense', headLinear(weights, 'dense', [width, width]));
    this.child('out_proj', headLinear(weights, 'out_proj', [labels, width]));
  }

  forward(x: Tensor): Tensor {
    return this.layer('out_proj').forward(tanh(this.layer('dense').forward(x)));
  }
}

/** RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2020): BERT's layers; positions begin after the padding's id. */
export const roberta = defineEncoder({
  name: 'RoBERTa',
  modelTypes: ['roberta', 'xlm-roberta', 'camembert'],
  models: 'RoBERTa, XLM-R, CamemBERT, multilingual e5, bge-m3',
  features: 'BERT with positions that begin after the padding id, no second token type, a head of two layers',
  className: 'Roberta',
  defaultTargets: ['query', 'value'],
  residualWriters: ['output.dense'],
  configKeys: bertKeys,
  dropouts: bertDropouts,
  config: (reader) => bertConfig(reader, { vocabularySize: 50_265, paddingId: 1, offsetsPositions: true }),
  body: (config, weights, kind) => bertBody(config, weights, { root: 'roberta', hasPooler: kind === 'embedding' }),
  head(parts) {
    const { weights, body, request } = parts;
    if (request.kind !== 'sequence') return tokenHeads(parts);
    const head = new RobertaHead(weights.under('classifier'), body.shape.hiddenSize, request.labels);
    return {
      modules: { classifier: head },
      reads: 'first',
      forward: (rows, layer) => layer('classifier').forward(rows),
    };
  },
  weights: (file) => encoderNames(file, 'roberta'),
  unused: ['roberta.pooler.'],
});
