export { combineFolders } from './jobs/combine.js';
export type { CombineFoldersOptions, CombineResult } from './jobs/combine.js';
export { examine } from './jobs/doctor.js';
export type { Findings } from './jobs/doctor.js';
export { convertFolders } from './jobs/convert.js';
export type { ConvertOptions, ConvertResult } from './jobs/convert.js';
export { openChat } from './jobs/chat.js';
export type { Answer, AnswerOptions, ChatFolderOptions, ChatSession } from './jobs/chat.js';
export { evaluateFolder } from './jobs/evaluate.js';
export type { EvaluateFolderOptions, EvaluateFolderResult } from './jobs/evaluate.js';
export { fineTune } from './jobs/fineTune.js';
export type { FineTuneEvent, FineTuneOptions, FineTuneResult } from './jobs/fineTune.js';
export type { TransferEvent, TransferEvents } from './jobs/folders.js';
export { generateBatch, generateFolder } from './jobs/generate.js';
export type { GenerateFolderOptions, GenerateFolderResult } from './jobs/generate.js';
export { importMlxFolder } from './jobs/importMlx.js';
export type { ImportMlxOptions } from './jobs/importMlx.js';
export { inspectFolder } from './jobs/inspect.js';
export type { InspectResult } from './jobs/inspect.js';
export { mergeFolders } from './jobs/merge.js';
export type { MergeOptions, MergeResult } from './jobs/merge.js';
export { planFineTune } from './jobs/plan.js';
export type { PlanOptions, PlanReport } from './jobs/plan.js';
export { quantizeFolder } from './jobs/quantize.js';
export type { QuantizeFolderOptions, QuantizeResult } from './jobs/quantize.js';
export { spectrumOfFolders } from './jobs/spectrum.js';
export type { SpectrumFoldersOptions, SpectrumResult } from './jobs/spectrum.js';
export { spectrumChart } from './jobs/spectrumChart.js';
export type { LayerSpectrum, Similarity, SpectrumLayer } from './jobs/spectrumLayer.js';
export { compareMethods } from './jobs/study/compare.js';
export type { CompareOptions } from './jobs/study/compare.js';
export { comparedMethods } from './jobs/study/comparedMethods.js';
export type { ComparedMethod } from './jobs/study/comparedMethods.js';
export type { ExecuteHooks, Executor } from './jobs/study/executor.js';
export { inProcess } from './jobs/study/inProcess.js';
export { intrinsicDimension } from './jobs/study/intrinsic.js';
export type { IntrinsicOptions } from './jobs/study/intrinsic.js';
export type { IntrinsicRow, IntrinsicTable } from './jobs/study/intrinsicTable.js';
export { overQueue } from './jobs/study/overQueue.js';
export type { OverQueueOptions } from './jobs/study/overQueue.js';
export { workQueue } from './jobs/study/workQueue.js';
export type { WorkQueueEvent, WorkQueueOptions, WorkQueueResult } from './jobs/study/workQueue.js';
export { runStudyRun } from './jobs/study/runStudyRun.js';
export type { RunStudyRunOptions } from './jobs/study/runStudyRun.js';
export type { StudyEvent, StudyOptions } from './jobs/study/studyOptions.js';
export { sweepRanks } from './jobs/study/sweep.js';
export type { SweepOptions } from './jobs/study/sweep.js';
export type { StudyRow, StudyTable } from './jobs/study/table.js';
export type {
  DoneRun,
  FailedRun,
  RunProgress,
  StudyOutcome,
  StudyRun,
  StudyScoring,
  StudyTraining,
} from './jobs/study/studyRun.js';
export type { Metrics } from './metricsFile.js';
