import type { Pause, WebAddress } from '@lowrank/safetensors';
import type { Send } from './ask.js';
import type { TransferTiming } from './transferTiming.js';

/** Where a hub is and who asks. */
export interface HubAccess {
  /** https://huggingface.co, a mirror, or a server of your own, without a slash at its end. */
  readonly endpoint: WebAddress;
  readonly token?: string | undefined;
  readonly fetch: typeof fetch;
  readonly timing: TransferTiming;
  readonly signal?: AbortSignal | undefined;
  readonly pause?: Pause | undefined;
}

/**
 * Asks a hub with its credentials, which go to the endpoint alone: not to other hosts that a hub names, and `fetch`
 * drops them where a redirect leaves the host.
 */
export function hubSend({ endpoint, token, fetch: send }: HubAccess): Send {
  const own = new URL(endpoint.url).origin;
  const authorization = endpoint.authorization ?? (token === undefined ? undefined : `Bearer ${token}`);
  return (url, init) => {
    const headers = new Headers(init.headers);
    if (authorization !== undefined && new URL(url).origin === own) headers.set('Authorization', authorization);
    return send(url, { ...init, headers });
  };
}
