export type { Batches, BatchesOptions } from './batches.js';
export { batches } from './batches.js';
export { bucketLength } from './bucketLength.js';
export { encodeChat } from './chatEncode.js';
export type { EncodedChat } from './chatEncode.js';
export { readChatTemplate } from './chatFiles.js';
export type { ChatMessage, ChatOptions, ChatTemplate, ChatTemplateOptions, RenderedChat } from './chatTemplate.js';
export { chatTemplate, renderChat } from './chatTemplate.js';
export { splitAfter } from './completionAfter.js';
export type { Dataset, EncodeOptions, LoadDatasetOptions, RowSelection } from './dataset.js';
export { encodeRows, loadDataset, selectionOf } from './dataset.js';
export type { EncodedRow, EncodeRowOptions, LossMask } from './encodeRow.js';
export { encodeRow, ignored } from './encodeRow.js';
export { readDataset, readTextRows, readTokenizer, selectedRows } from './files.js';
export type { RowPart } from './holdOut.js';
export { holdOut } from './holdOut.js';
export { parseJsonl } from './jsonl.js';
export { compareScores, isTextMetric, metricNames, textMetrics } from './metrics/metric.js';
export type { MetricName, TextMetricName } from './metrics/metric.js';
export { scoredPrompts } from './metrics/scoredPrompts.js';
export type { ScoredPrompt } from './metrics/scoredPrompts.js';
export type { TextMetric } from './metrics/textMetric.js';
export { documentBatches } from './preferences/documentBatches.js';
export type { DocumentBatch } from './preferences/documentBatches.js';
export type { ExampleGroup, PreferenceExample, ReferenceLogps } from './preferences/example.js';
export type { JudgedRow } from './preferences/judgedGroups.js';
export { judgedGroups } from './preferences/judgedGroups.js';
export type { PreferenceBatchOptions, PreferenceKind } from './preferences/preferenceBatches.js';
export {
  examplesSeen,
  largestPreferenceBatches,
  preferenceBatches,
  preferenceEvaluationBatches,
} from './preferences/preferenceBatches.js';
export type { FloatArray, PreferenceBatch, PreferenceInputs } from './preferences/preferenceLayout.js';
export type { PackOptions, PackedPiece } from './packDocuments.js';
export { packDocuments } from './packDocuments.js';
export type { PromptGroup } from './promptGroups.js';
export { groupByPrompt, samplePrompts } from './promptGroups.js';
export type { RowKind, RowReading } from './rowForms.js';
export { describeForms } from './rowForms.js';
export type { RowSource } from './rowSource.js';
export type { RowSampler, SamplerOptions, SamplerState } from './sampler.js';
export { createSampler } from './sampler.js';
export type { TextFiles } from './textFiles.js';
export { textFiles } from './textFiles.js';
export type { LayoutOptions, TokenArray, TokenBatch, TokenInputs } from './tokenBatch.js';
export { packBatch, packBatches, padBatch } from './tokenBatch.js';
export type { ChatRow, PlainRow, PreferenceRow, PromptRow, TextRow, Turns } from './textRow.js';
export { isChat } from './textRow.js';
export type { TextTokenizer, TokenizerOptions } from './tokenizer.js';
export { loadTokenizer } from './tokenizer.js';
export type { TextSpan } from './tokenizers/pipeline.js';
export type { TextStream } from './tokenizerStream.js';
export { textStream } from './tokenizerStream.js';
export type { TrainingBatchOptions } from './trainingBatches.js';
export { evaluationBatches, largestBatches, trainingBatches } from './trainingBatches.js';
export { withVirtualTokens } from './virtualTokens.js';
export { dataSettings } from './settings.js';
