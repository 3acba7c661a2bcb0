export { compareMethods } from './compare.js';
export type { CompareOptions } from './compare.js';
export { intrinsicDimension } from './intrinsic/intrinsic.js';
export type { IntrinsicOptions } from './intrinsic/intrinsicOptions.js';
export { describeIntrinsic } from './intrinsic/intrinsicReport.js';
export type { IntrinsicRow, IntrinsicTable } from './intrinsic/intrinsicTable.js';
export { overQueue } from './queue/overQueue.js';
export type { OverQueueOptions } from './queue/overQueue.js';
export { workQueue } from './queue/workQueue.js';
export type { WorkQueueEvent, WorkQueueOptions, WorkQueueResult } from './queue/workQueue.js';
export { chromeTrace } from './profile/chromeTrace.js';
export { describeProfile } from './profile/describeProfile.js';
export { profilePage } from './profile/profilePage.js';
export type { GroupProfile, KernelProfile, ProfileReport, TimedLaunch } from './profile/profileReport.js';
export type { RateSearchOptions } from './rateSearch.js';
export type { ExecuteHooks, Executor } from './runs/executor.js';
export { inProcess } from './runs/inProcess.js';
export { reportOf } from './runReport/reportOf.js';
export type { ReportedInput, ReportedRun, RunSample } from './runReport/reportedRun.js';
export { curvesOf, RunCurves } from './runReport/runCurves.js';
export type { MetricsLine } from './runReport/runCurves.js';
export { runStudyRun } from './runs/runStudyRun.js';
export type { RunStudyRunOptions } from './runs/runStudyRun.js';
export type {
  DoneRun,
  FailedRun,
  Measured,
  RunProgress,
  StudyOutcome,
  StudyRun,
  StudySample,
  StudyScoring,
  StudyTraining,
} from './runs/studyRun.js';
export type {
  ComparedMethod,
  EvaluatedRun,
  EvaluationHooks,
  StudyTrainer,
  TrainedRun,
  TrainedStep,
  TrainingHooks,
  TrainingRules,
  TrainingSession,
} from './runs/studyTrainer.js';
export { describeSpectrum, spectrumMarkdown } from './spectrum/describeSpectrum.js';
export { spectrumOfFolders } from './spectrum/spectrum.js';
export type { SpectrumFoldersOptions, SpectrumResult } from './spectrum/spectrum.js';
export { spectrumChart } from './spectrum/spectrumChart.js';
export type { LayerSpectrum, Similarity, SpectrumLayer } from './spectrum/spectrumLayer.js';
export type { StudyEvent, StudyOptions } from './studyOptions.js';
export { sweepRanks } from './sweep.js';
export type { SweepOptions } from './sweep.js';
export { describeTable } from './tables/describeTable.js';
export { format, metricTitles } from './tables/format.js';
export type { StudyRow, StudyTable, TriedRate } from './tables/table.js';
