import type { Backend } from './backend.js';
import type { DeviceBuffer } from './memory.js';

/**
 * The memory of intermediates, shared by all plans that never run at the same time: one training step at several
 * lengths, accumulation and update. As large as the largest of them. Growing replaces the buffers, so prepare the
 * largest plan first; what was prepared on older buffers is prepared again.
 */
export class Arena {
  private buffers: DeviceBuffer[] = [];
  private generation = 0;

  constructor(readonly backend: Backend) {}

  /** Counts up when buffers are replaced. */
  get version(): number {
    return this.generation;
  }

  get bytes(): number {
    return this.buffers.reduce((total, { bytes }) => total + bytes, 0);
  }

  /** Buffers of at least these sizes, in order. */
  reserve(sizes: readonly number[]): readonly DeviceBuffer[] {
    sizes.forEach((size, at) => {
      const known = this.buffers[at];
      if (known !== undefined && known.bytes >= size) return;
      // Free before asking for more: the old contents are never needed.
      known?.destroy();
      this.buffers[at] = this.backend.allocate(size, `arena ${at}`);
      if (known !== undefined) this.generation++;
    });
    return this.buffers;
  }

  dispose(): void {
    this.buffers.forEach((buffer) => buffer.destroy());
    this.buffers = [];
    this.generation++;
  }
}
