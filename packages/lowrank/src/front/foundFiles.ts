import type { ModelFiles, TransferProgress } from '@lowrank/models';

export interface SourceOptions {
  readonly onDownload?: ((progress: TransferProgress) => void) | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The files of a source, and its name as `base_model_name_or_path` gives it. */
export interface FoundFiles {
  readonly name: string;
  readonly files: ModelFiles;
}
