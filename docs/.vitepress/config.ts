import { readdirSync } from 'node:fs';
import { defineConfig } from 'vitepress';
import { entries } from '../generators/entries.mjs';
import { writeFullText } from '../generators/fullText.mjs';
import { navigation } from './navigation.mjs';
import { writePrecache } from './precache';

const packages = readdirSync(new URL('../../packages', import.meta.url)).sort();
const nameOf = (name: string): string => (name === 'lowrank' ? name : `@lowrank/${name}`);

/** A sidebar of its own, with the way back at its top. */
const back = { text: '← All pages', link: '/gettingStarted' };

export default defineConfig({
  title: 'Lowrank',
  description:
    'Fine-tune language models with LoRA and QLoRA in the browser and in Node: on any GPU that WebGPU reaches, or on ' +
    'the CPU, with PEFT’s files and PyTorch’s numbers.',
  lang: 'en',
  cleanUrls: true,
  // Served from any folder when DOCS_BASE names it.
  base: process.env.DOCS_BASE ?? '/',
  head: [
    ['link', { rel: 'icon', type: 'image/svg+xml', href: `${process.env.DOCS_BASE ?? '/'}mark.svg` }],
    ['meta', { name: 'theme-color', content: '#2f6f5e' }],
  ],
  markdown: { lineNumbers: false },
  buildEnd({ outDir }) {
    writeFullText(outDir);
    writePrecache(outDir);
  },
  vite: {
    // A policy of the playground's forbids data: addresses, which small files would become.
    build: { assetsInlineLimit: 0, target: 'es2022' },
    worker: { format: 'es' },
  },
  themeConfig: {
    logo: { src: '/mark.svg', alt: '' },
    nav: [
      { text: 'Playground', link: '/playground/' },
      { text: 'Getting started', link: '/gettingStarted', activeMatch: '^/(gettingStarted|start/)' },
      { text: 'Guides', link: '/guides/firstFineTune', activeMatch: '^/guides/' },
      { text: 'Command line', link: '/cli' },
      { text: 'API', link: '/reference/', activeMatch: '^/reference/' },
    ],
    sidebar: {
      '/': navigation,
      '/reference/': [
        back,
        {
          text: 'API reference',
          link: '/reference/',
          items: entries().map(({ name, page }) => ({ text: name, link: `/reference/${page}` })),
        },
      ],
      '/packages/': [
        back,
        {
          text: 'Packages',
          link: '/packages/',
          items: packages.map((name) => ({ text: nameOf(name), link: `/packages/${name}` })),
        },
      ],
    },
    search: { provider: 'local' },
    outline: [2, 3],
    editLink: { pattern: 'https://github.com/lowrank/lowrank/edit/main/docs/:path', text: 'Edit this page' },
    socialLinks: [{ icon: 'github', link: 'https://github.com/lowrank/lowrank' }],
    footer: { message: 'Apache-2.0. Nothing you train here leaves your device.' },
  },
});
