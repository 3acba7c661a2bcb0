import { shaderFailed } from './gpuErrors.js';

/** What makes a pipeline: its WGSL, the kind of every binding of group 0, and a name for errors and profiles. */
export interface PipelineSpec {
  readonly code: string;
  readonly label: string;
}

/**
 * Pipelines by their WGSL source: layers of equal shapes share one, within a plan and across plans. Compilation is asynchronous and
 * all pipelines of a plan compile together.
 */
export class PipelineCache {
  readonly #gpu: GPUDevice;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  get size(): number {
    return this.#pipelines.size;
  }

  /** The pipeline for this source, compiled at most once. Throws `webgpu.shader-failed` with the offending lines. */
  get(spec: PipelineSpec): Promise<GPUComputePipeline> {
    const known = this.#pipelines.get(spec.code);
    if (known !== undefined) return known;
    const made = this.#compile(spec);
    this.#pipelines.set(spec.code, made);
    return made;
  }

  async #compile({ code, label }: PipelineSpec): Promise<GPUComputePipeline> {
    const gpu = this.#gpu;
    // The scope keeps a failing module out of the uncaptured errors: it is reported here, with its lines.
    gpu.pushErrorScope('validation');
    const module = gpu.createShaderModule({ code, label });
    const compiled = gpu.createComputePipelineAsync({ label, layout: 'auto', compute: { module, entryPoint: 'main' } });
    const scope = gpu.popErrorScope();
    // Awaited together: a rejection must find its handler before the scope answers.
    const [pipeline] = await Promise.allSettled([compiled, scope]);
    if (pipeline.status === 'fulfilled') return pipeline.value;
    const info = await module.getCompilationInfo();
    throw shaderFailed(label, code, info.messages, pipeline.reason instanceof Error ? pipeline.reason.message : String(pipeline.reason));
  }
}
