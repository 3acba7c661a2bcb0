import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

// Cross-origin isolation: without it no memory is shared, and the CPU backend has one thread.
const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

export default defineConfig({
  // Works from any folder of any server.
  base: './',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    rollupOptions: { input: ['index.html', 'notes.html'].map((page) => fileURLToPath(new URL(page, import.meta.url))) },
  },
  worker: { format: 'es' },
  server: { headers },
  preview: { headers },
});
