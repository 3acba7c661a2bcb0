// Every page of the site, in the order in which a newcomer meets them: the sidebar and llms.txt are made of it.

/**
 * @typedef {{ text: string, link: string, about: string }} Page `about` is what llms.txt says of it
 * @typedef {{ text: string, collapsed?: boolean, items: Page[] }} Group
 */

/** @param {string} text @param {string} link @param {string} about @returns {Page} */
const page = (text, link, about) => ({ text, link, about });

/** @type {Group[]} */
export const navigation = [
  {
    text: 'Start',
    items: [
      page('Playground', '/playground/', 'fine-tune a small model in the browser tab, without installing anything'),
      page('In your own words', '/playground/words', 'a small model that learns what you type and finishes it'),
      page('Draw a digit', '/playground/digits', 'a small vision transformer that learns what you draw'),
      page(
        'Getting started',
        '/gettingStarted',
        'which of the four ways in suits you; the command line in five minutes',
      ),
      page('In Node', '/start/node', 'from an empty folder to an adapter, by command and by program'),
      page('In the browser', '/start/browser', 'a page that trains, with Vite'),
      page('In Deno', '/start/deno', 'a script with permissions'),
      page('In Bun', '/start/bun', 'a script'),
    ],
  },
  {
    text: 'Understand',
    items: [
      page('What LoRA adds', '/concepts/lora', 'two thin matrices beside each weight, and why that is enough'),
      page('Rank and alpha', '/concepts/rank', 'what r and alpha do, and how to choose them'),
      page('QLoRA', '/concepts/qlora', 'the same over a base in 4 bits'),
      page('Where memory goes', '/concepts/memoryParts', 'weights, adapter, optimizer, activations, logits'),
      page('How a plan replays', '/concepts/plan', 'trace once, plan once, replay thousands of times'),
    ],
  },
  {
    text: 'Do',
    items: [
      page('A first fine-tune', '/guides/firstFineTune', 'from rows to an adapter that was measured'),
      page('A chat model', '/guides/chatModel', 'conversations, templates, what is learned of them'),
      page('QLoRA on a laptop', '/guides/qloraLaptop', 'what fits, and what to turn when it does not'),
      page('A base in GGUF', '/guides/ggufBase', 'train over the file that llama.cpp runs'),
      page('Sort texts', '/guides/sortTexts', 'a label for each text: rows, training, measuring, using'),
      page('Sort images', '/guides/sortImages', 'a ViT from nothing to new classes: LoRA beside full fine-tuning'),
      page('Tag words', '/guides/tagWords', 'names, places and prices in texts'),
      page('Answer questions', '/guides/answerQuestions', 'where in a text the answer is'),
      page('Search by meaning', '/guides/searchNotes', 'embeddings of notes, in a page, and how to teach them'),
      page('From preferences', '/guides/preferencePairs', 'DPO and its relatives, step by step'),
      page('Long runs and resume', '/guides/longRuns', 'checkpoints, early stopping, going on after anything'),
      page('Many adapters, one model', '/guides/manyAdapters', 'switch, mix and serve adapters'),
      page('Take an adapter elsewhere', '/guides/otherTools', 'PEFT, vLLM, llama.cpp, mlx-lm, TRL'),
      page('In a page of your own', '/guides/ownPage', 'workers, storage, progress, stopping, saving'),
    ],
  },
  {
    text: 'Look up',
    items: [
      page('Command line', '/cli', 'every flag, JSON output, exit codes'),
      page('API reference', '/reference/', 'every export of every package, from its docstring'),
      page('Models', '/models', 'families, rotary scaling, what is refused'),
      page('Data', '/data', 'rows, tokens, labels, packing'),
      page('Generating and chatting', '/chat', 'how tokens are sampled, stop strings, chat templates'),
      page('Through a worker', '/worker', '`lowrank/worker`: pause, back-pressure, a dead worker, across tabs'),
      page('Storage in the browser', '/storage', '`lowrank/storage`: models, runs, quota, what fits before a download'),
      page('Runs', '/runs', 'the folder of a run, checkpoints, resume, evaluation on the way, early stopping'),
      page('Adapters and PEFT', '/adapters', 'files, targets, variants, inits, merging, combining'),
      page('Quantization', '/quantization', 'NF4, FP4 and INT8, bitsandbytes files, QLoRA'),
      page('Memory', '/memory', 'what a run needs, `lowrank plan`, checkpointing'),
      page('Time', '/time', 'how long a run is expected to take on a GPU: `lowrank plan --on`, and its error'),
      page('Profiles', '/profile', 'where the time of a step goes: `lowrank profile`, kernel by kernel'),
      page('Other methods', '/methods', 'BitFit, prompt and prefix tuning, bottleneck adapters, IA³, random subspaces'),
      page('Preferences', '/preferences', 'DPO, ORPO, KTO, SimPO: equations, settings, TRL’s names'),
      page('Tasks', '/tasks', 'classification, tagging, question answering, embeddings: rows, heads, scores'),
      page('Comparing methods and ranks', '/comparing', 'compare, sweep, metrics; how budgets are made fair'),
      page('Serving adapters', '/serving', 'several adapters on one model, row by row, hot swap, merging in place'),
      page('Several machines', '/queue', 'sweeps and comparisons over workers, through Redis'),
      page('Intrinsic dimension', '/intrinsicDimension', 'random subspaces, d90, singular values of updates'),
      page('A network of your own', '/networks', 'layers, losses and gradients without a language model'),
      page(
        'What a folder means',
        '/folders',
        'every key of config.json and tokenizer files: followed, ignored, refused',
      ),
    ],
  },
  {
    text: 'When something is wrong',
    items: [
      page('Troubleshooting', '/troubleshooting', 'NaN, memory, a slow device, answers that do not change'),
      page('Errors', '/errors', 'every error code with its cause and remedy'),
      page('Browsers, GPUs and drivers', '/devices', 'what was tested, and how'),
      page('Reliability', '/reliability', 'what is promised when files, networks and machines fail or lie'),
    ],
  },
  {
    text: 'Judge',
    items: [
      page('Beside PEFT, mlx-lm and others', '/besideOthers', 'feature by feature, with what Lowrank lacks'),
      page('Benchmarks', '/benchmarks', 'what was measured, on what, with which command'),
      page(
        'Sizes, memory and pauses',
        '/figures',
        'what a page costs a visitor: gzip, first paint, memory, long tasks',
      ),
      page('Numbers', '/numbers', 'what is compared with PyTorch and how'),
      page('Changelog', '/changelog', 'what changed'),
    ],
  },
  {
    text: 'Under the hood',
    collapsed: true,
    items: [
      page(
        'Architecture',
        '/architecture',
        'the walk from `lowrank train` to a kernel; who may import whom; memory; NaN',
      ),
      page('Packages', '/packages/', 'a page for each package'),
      page('Add a setting', '/contributing/setting', 'how a setting is declared once'),
      page('Add a method', '/contributing/method', 'a way of fine-tuning as one object'),
      page('Add a family', '/contributing/family', 'an architecture in a file'),
      page('Add an op', '/contributing/op', 'an op, its kernel and its tests'),
      page('Write a test', '/contributing/tests', 'tests that earn their seconds'),
    ],
  },
];

export const pages = navigation.flatMap(({ items }) => items);
