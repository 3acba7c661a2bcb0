/** What went wrong, as a person reads it. */
export interface Fault {
  readonly title: string;
  readonly text: string;
  /** What to do; undefined where the text says it. */
  readonly remedy: string | undefined;
  /** The library's name of it, for the page about errors; undefined for what is not the library's. */
  readonly code: string | undefined;
}

interface Known {
  readonly of: (error: { readonly code: string; readonly name: string; readonly message: string }) => boolean;
  readonly title: string;
  readonly remedy?: string;
}

/** In the order in which they are looked for. */
const known: readonly Known[] = [
  {
    of: ({ code }) => code === 'webgpu.device-lost',
    title: 'The GPU was lost',
    remedy: 'A driver was reset, or the GPU is in use elsewhere. What was saved is here: press Resume to go on.',
  },
  {
    of: ({ code, name }) => name === 'QuotaExceededError' || code.includes('quota'),
    title: 'This device has no room left',
    remedy: 'The training goes on, and cannot be resumed later. Remove adapters, or free space on the device.',
  },
  {
    of: ({ code }) => code === 'webgpu.no-adapter',
    title: 'This browser offers no GPU',
    remedy: 'Choose the device “CPU”, or a browser with WebGPU on a page with https.',
  },
  {
    of: ({ code, message }) =>
      ['models.download', 'models.offline', 'models.hub'].includes(code) || message === 'Failed to fetch',
    title: 'The download did not come through',
    remedy: 'Look at the connection. What has arrived is kept, and the next try goes on from there.',
  },
  { of: ({ code }) => code.startsWith('data.'), title: 'These rows cannot be read' },
  {
    of: ({ code }) => code.startsWith('models.') || code.startsWith('safetensors.'),
    title: 'This model cannot be loaded',
  },
  { of: ({ code }) => /^(lora|patch|cli|methods)\./.test(code), title: 'This adapter does not fit' },
  { of: ({ code }) => code.startsWith('trainer.'), title: 'The training stopped' },
];

/** @param during what the page was about, for what nobody knows the name of */
export function faultOf(error: unknown, during: string): Fault {
  const { code, name, message, remedy } = partsOf(error);
  const found = known.find(({ of }) => of({ code: code ?? '', name, message }));
  return {
    title: found?.title ?? during,
    text: message,
    remedy: found?.remedy ?? remedy,
    code,
  };
}

function partsOf(error: unknown): {
  readonly code: string | undefined;
  readonly name: string;
  readonly message: string;
  readonly remedy: string | undefined;
} {
  if (!(error instanceof Error)) return { code: undefined, name: '', message: String(error), remedy: undefined };
  const { code } = error as { code?: unknown };
  return {
    code: typeof code === 'string' ? code : undefined,
    name: error.name,
    message: error.message,
    remedy: undefined,
  };
}
