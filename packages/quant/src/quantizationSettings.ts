import { choice, defineSettings, setting, toggle } from '@lowrank/settings';

/** Settings of how a model is quantized while it loads. */
export const quantizationSettings = defineSettings(
  { code: 'quant.settings', subject: 'the quantization setting' },
  {
    quantization: setting({
      schema: choice(['nf4', 'fp4', 'int8']),
      help: 'nf4, fp4, int8: quantize linear layers while they load',
      see: './quantization',
      value: 'type',
      otherwise: 'as they are stored',
      aliases: ['load_in_4bit', 'load_in_8bit', 'quant_type', 'bnb_4bit_quant_type'],
      cost: true,
      onResume: 'free',
    }),
    doubleQuantization: setting({
      schema: toggle(),
      help: 'quantize the scales of 4-bit blocks too',
      aliases: ['bnb_4bit_use_double_quant'],
      cost: true,
      onResume: 'free',
      requires: [{ setting: 'quantization', values: 'nf4 or fp4' }],
    }),
    quantizeEmbeddings: setting({
      schema: toggle(),
      help: 'keep the token embedding and the output projection in 8-bit rows while they are frozen',
      see: './memory#embeddings-in-8-bits',
      cost: true,
      onResume: 'free',
    }),
  },
);
