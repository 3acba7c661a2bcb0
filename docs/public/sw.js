// The site's service worker, which the playground registers. It does four things that a static host cannot:
// - isolation headers, without which no memory is shared and the CPU backend has one thread;
// - a policy that lets pages talk to this site alone, and workers to the model's host besides;
// - a count of what every request carries, for the page to show;
// - copies of what the playground needs, so that it works without a network.

/** The name of the cache, but for the version of the site. */
const cacheName = 'lowrank-site-';
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};
const channel = new BroadcastChannel('lowrank-traffic');

/** Requests of the last minutes, for pages that ask late. */
const seen = [];
/** What workers that start from now on may talk to beside the site. */
let modelHosts = '';

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('message', (event) => {
  const { type, hosts, since } = event.data ?? {};
  const [port] = event.ports;
  if (type === 'guard') {
    modelHosts = hosts;
    port?.postMessage('guarded');
  }
  if (type === 'seen') port?.postMessage(seen.filter(({ time }) => time >= since));
  if (type === 'precache')
    event.waitUntil(
      precache().then(
        () => port?.postMessage(true),
        // Without a network what is kept is kept, and may be all of it.
        async () => port?.postMessage((await caches.keys()).some((name) => name.startsWith(cacheName))),
      ),
    );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (!request.url.startsWith('http')) return;
  event.respondWith(answer(request, event));
});

async function answer(request, event) {
  event.waitUntil(note(request.clone()));
  const { origin } = new URL(request.url);
  if (origin !== self.location.origin) return fetch(request);
  if (request.method !== 'GET' || request.headers.has('range')) return fetch(request);
  const response = request.mode === 'navigate' ? await networkFirst(request) : await cacheFirst(request);
  return guarded(response, request);
}

/** Tells every page what a request carried. */
async function note(request) {
  const sentBytes = request.body === null || request.method === 'GET' ? 0 : (await request.arrayBuffer()).byteLength;
  const one = { time: Date.now(), host: new URL(request.url).host, sentBytes };
  seen.push(one);
  if (seen.length > 2000) seen.splice(0, 1000);
  channel.postMessage(one);
}

/** A document is as new as the network has it. */
async function networkFirst(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (kept === undefined) throw error;
    return kept;
  }
}

/** Names of assets carry a hash of what is in them; everything else is asked for anew where there is a network. */
async function cacheFirst(request) {
  const isHashed = /\/assets\//.test(new URL(request.url).pathname);
  const kept = await caches.match(request);
  if (kept !== undefined && isHashed) return kept;
  try {
    return await fetch(request);
  } catch (error) {
    if (kept === undefined) throw error;
    return kept;
  }
}

/** The response with the headers of this site. */
function guarded(response, request) {
  if (response.type === 'opaqueredirect' || response.type === 'error') return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(isolation)) headers.set(name, value);
  if (request.destination === 'worker')
    headers.set(
      'Content-Security-Policy',
      `default-src 'self' blob: data:; script-src 'self' 'wasm-unsafe-eval' blob:; ` +
        `connect-src 'self' blob: data: ${modelHosts}`,
    );
  const { status, statusText } = response;
  return new Response([101, 204, 205, 304].includes(status) ? null : response.body, { status, statusText, headers });
}

/** Copies what the playground needs, as far as it is not there. */
async function precache() {
  const response = await fetch(new URL('precache.json', self.registration.scope), { cache: 'no-cache' });
  if (!response.ok) throw new Error(`precache.json: ${response.status}`);
  const { version, files } = await response.json();
  const cache = await caches.open(cacheName + version);
  for (const file of files) {
    const address = new URL(file, self.registration.scope).href;
    if ((await cache.match(address)) !== undefined) continue;
    await cache.add(address);
  }
  for (const name of await caches.keys())
    if (name.startsWith(cacheName) && name !== cacheName + version) await caches.delete(name);
}
