export type { Batch, LossFunction, MeasuredLoss, Measures, TokenInput } from './batch.js';
export type { Evaluation, EvaluateOptions } from './evaluate.js';
export { evaluate } from './evaluate.js';
export type {
  CheckpointEvent,
  BaselineEvent,
  EvaluatedEvent,
  InterruptedEvent,
  RolledBackEvent,
  SavedEvent,
  SkippedEvent,
  StartedEvent,
  StepEvent,
  TrainEvent,
} from './events.js';
export type { Execution, ExecutionOptions } from './execution.js';
export { parameterGradients } from './gradients.js';
export type { GradientsRequest } from './gradients.js';
export { optimizers } from './optimizers/index.js';
export type { OptimizerName } from './optimizers/index.js';
export type { OptimizerNumbers, OptimizerState, OptimizerTensor, UpdateRule } from './optimizers/optimizer.js';
export { NonFiniteError } from './nonFinite.js';
export type { NanRule } from './nanRules.js';
export type { BestBy } from './scores.js';
export type { SpikeRule } from './spikes.js';
export type { OptimizerOptions } from './optimizer.js';
export { checkOptimizer } from './optimizers/index.js';
export type { FlatVector } from './parameters.js';
export type { Segment } from './segment.js';
export { flattenParameters } from './parameters.js';
export { dpoLosses } from './objectives/dpo.js';
export type { DpoLoss } from './objectives/dpo.js';
export type { DocumentInput, JudgedInput, NllTokens, Objective, ScoredModel } from './objectives/objective.js';
export type { ObjectiveName, ObjectiveOptions } from './objectives/objectives.js';
export { objectiveNamed, objectiveNames, objectives, objectiveSettings } from './objectives/objectives.js';
export { scoreDocuments } from './objectives/scoreDocuments.js';
export { planTrainStep } from './planStep.js';
export type { PlannedStep, PlanStepOptions } from './planStep.js';
export type { ScheduleName, ScheduleOptions } from './schedule.js';
export { learningRateAt, schedules, warmupSteps } from './schedule.js';
export type { TrainResult } from './train.js';
export { train } from './train.js';
export type { BetweenSteps, Ended, StoppedBy, TrainOptions, TrainSession } from './trainOptions.js';
export type { Score, StateTensor, StepState, TrainState } from './trainState.js';
export { holdState } from './trainState.js';
export { accumulatedGradient } from './stepTraces.js';
export type { StepOptions } from './stepTraces.js';
export type { StepNumbers, TrainStep, TrainStepOptions } from './trainStep.js';
export { createTrainStep } from './trainStep.js';
export { trainingSettings } from './settings.js';
