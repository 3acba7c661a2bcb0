import type { ModelChoice } from './settings';

/** What went over the network since the page was opened. */
export interface Traffic {
  /** Bytes in bodies of requests: what a page could give away. */
  readonly sentBytes: number;
  readonly hosts: readonly Host[];
}

interface Host {
  readonly name: string;
  readonly requests: number;
  readonly sentBytes: number;
}

interface Seen {
  readonly host: string;
  readonly sentBytes: number;
}

/** What is known of the service worker that stands between this page and the network. */
export interface Guard {
  /** Whether it stands there: it counts, and gives workers their policy. */
  readonly isThere: boolean;
  /** Whether the page works without a network from now on. */
  readonly isOffline: boolean;
  readonly traffic: Traffic;
}

const reloaded = 'lowrank-reloaded';

/**
 * Starts the service worker, and tells what it sees, now and after every request. A first visit is loaded again once,
 * so that the page comes with the headers that share memory among threads.
 */
export async function startGuard(base: string, tell: (guard: Guard) => void): Promise<void> {
  if (!('serviceWorker' in navigator)) return;
  const registered = navigator.serviceWorker.register(`${base}sw.js`);
  // One that stands there already serves, whether or not a newer one can be had.
  if (navigator.serviceWorker.controller === null) await registered;
  else registered.catch(() => undefined);
  await navigator.serviceWorker.ready;
  if (!crossOriginIsolated && sessionStorage.getItem(reloaded) === null) {
    sessionStorage.setItem(reloaded, 'yes');
    location.reload();
    return;
  }
  const hosts = new Map<string, Host>();
  let isOffline = false;
  const report = (): void => {
    const list = [...hosts.values()];
    const sentBytes = list.reduce((sum, host) => sum + host.sentBytes, 0);
    tell({ isThere: navigator.serviceWorker.controller !== null, isOffline, traffic: { sentBytes, hosts: list } });
  };
  const add = ({ host, sentBytes }: Seen): void => {
    const before = hosts.get(host) ?? { name: host, requests: 0, sentBytes: 0 };
    hosts.set(host, { ...before, requests: before.requests + 1, sentBytes: before.sentBytes + sentBytes });
  };
  const channel = new BroadcastChannel('lowrank-traffic');
  channel.addEventListener('message', ({ data }: MessageEvent<Seen>) => {
    add(data);
    report();
  });
  for (const one of (await ask({ type: 'seen', since: performance.timeOrigin })) as readonly Seen[]) add(one);
  report();
  isOffline = (await ask({ type: 'precache' })) === true;
  report();
}

/** Lets workers that start from now on talk to the model's host, and to nobody else but this site. */
export async function guardFor(model: ModelChoice): Promise<void> {
  if (navigator.serviceWorker?.controller) await ask({ type: 'guard', hosts: hostsOf(model) });
}

/** As a policy names them; nothing for a model that comes with the page or from the device. */
export function hostsOf(model: ModelChoice): string {
  switch (model.kind) {
    case 'hub':
      return 'https://huggingface.co https://*.huggingface.co https://*.hf.co';
    case 'url':
      return URL.canParse(model.url) ? new URL(model.url).origin : '';
    default:
      return '';
  }
}

async function ask(question: object): Promise<unknown> {
  const { active } = await navigator.serviceWorker.ready;
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener('message', ({ data }: MessageEvent<unknown>) => resolve(data), { once: true });
    port1.start();
    active?.postMessage(question, [port2]);
  });
}
