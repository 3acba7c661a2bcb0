import { choice, defineSettings, setting, toggle, wholeNumber } from '@lowrank/settings';
import { problems } from '../tasks/labels.js';
import { taskNames } from '../tasks/task.js';

/** What a model is used for, where that is not writing text. */
export const taskSettings = defineSettings(
  { code: 'tasks.settings', subject: 'the task setting' },
  {
    task: setting({
      schema: choice(taskNames),
      help: `${taskNames.join(', ')}: what the rows are for`,
      see: './tasks',
      value: 'name',
      otherwise: 'as the model’s config, the adapter or, of an encoder, the rows say; else writing text',
      cost: true,
    }),
    problemType: setting({
      schema: choice(problems),
      help: `of text-classification: ${problems.join(', ')}`,
      see: './tasks#text-classification',
      value: 'name',
      otherwise: 'as the labels are written: numbers with a point are learned as numbers, all else are names',
      aliases: ['problem_type'],
    }),
    docStride: setting({
      schema: wholeNumber({ min: 0 }),
      help: 'of question-answering: tokens that the parts of a long context have in common',
      see: './tasks#question-answering',
      value: 'tokens',
      otherwise: '128, but at most half of what a part holds',
      aliases: ['doc_stride'],
    }),
    maxAnswerLength: setting({
      schema: wholeNumber({ min: 1 }),
      help: 'of question-answering: most tokens of an answer (default 30)',
      see: './tasks#question-answering',
      value: 'tokens',
      aliases: ['max_answer_length'],
    }),
    nBest: setting({
      schema: wholeNumber({ min: 1 }),
      help: 'of question-answering: so many answers, with their scores',
      see: './tasks#question-answering',
      value: 'n',
      aliases: ['n_best_size'],
    }),
    impossibleAnswers: setting({
      schema: toggle(),
      help: 'of question-answering: an empty answer where the first token is likelier than any span, as in SQuAD 2',
      see: './tasks#question-answering',
      otherwise: 'where rows that are evaluated have no answer',
      aliases: ['handle_impossible_answer', 'version_2_with_negative'],
    }),
  },
);
