import { readdirSync } from 'node:fs';
import { defineConfig } from 'vitepress';

const packages = readdirSync(new URL('../../packages', import.meta.url)).sort();

export default defineConfig({
  title: 'Lowrank',
  description: 'LoRA fine-tuning of language models through WebGPU, in Node and in the browser.',
  lang: 'en',
  cleanUrls: true,
  // Served from any folder when DOCS_BASE names it.
  base: process.env.DOCS_BASE ?? '/',
  markdown: { lineNumbers: false },
  themeConfig: {
    nav: [
      { text: 'Getting started', link: '/gettingStarted' },
      { text: 'Command line', link: '/cli' },
      { text: 'Architecture', link: '/architecture' },
    ],
    sidebar: [
      {
        text: 'Use',
        items: [
          { text: 'Getting started', link: '/gettingStarted' },
          { text: 'Command line', link: '/cli' },
          { text: 'Models', link: '/models' },
          { text: 'Data', link: '/data' },
          { text: 'What a folder means', link: '/folders' },
          { text: 'Generating and chatting', link: '/chat' },
          { text: 'Runs', link: '/runs' },
          { text: 'Adapters and PEFT', link: '/adapters' },
          { text: 'Other methods', link: '/methods' },
          { text: 'Preferences', link: '/preferences' },
          { text: 'Comparing methods and ranks', link: '/comparing' },
          { text: 'Serving adapters', link: '/serving' },
          { text: 'Intrinsic dimension', link: '/intrinsicDimension' },
          { text: 'Quantization', link: '/quantization' },
          { text: 'A network of your own', link: '/networks' },
          { text: 'Memory', link: '/memory' },
          { text: 'Several machines', link: '/queue' },
        ],
      },
      {
        text: 'Understand',
        items: [
          { text: 'Architecture', link: '/architecture' },
          { text: 'Numbers', link: '/numbers' },
          { text: 'Reliability', link: '/reliability' },
        ],
      },
      {
        text: 'Contribute',
        items: [
          { text: 'Add a setting', link: '/contributing/setting' },
          { text: 'Add a method', link: '/contributing/method' },
          { text: 'Add a family', link: '/contributing/family' },
          { text: 'Add an op', link: '/contributing/op' },
          { text: 'Write a test', link: '/contributing/tests' },
        ],
      },
      {
        text: 'Packages',
        items: packages.map((name) => ({
          text: name === 'lowrank' ? name : `@lowrank/${name}`,
          link: `/packages/${name}`,
        })),
      },
    ],
    search: { provider: 'local' },
    outline: [2, 3],
  },
});
