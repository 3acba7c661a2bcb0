import { chartOption } from './chartOption.js';
import type { StudyTable } from './table.js';

/** The chart of a study as an SVG, drawn without a browser. The library is loaded only here. */
export async function chartSvg(table: StudyTable): Promise<string> {
  const [{ init, use }, { BarChart, CustomChart, LineChart, ScatterChart }, { GridComponent, LegendComponent, TitleComponent }, { SVGRenderer }] = await Promise.all([
    import('echarts/core'),
    import('echarts/charts'),
    import('echarts/components'),
    import('echarts/renderers'),
  ]);
  use([BarChart, CustomChart, LineChart, ScatterChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);
  const { width, height, option } = chartOption(table);
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption(option);
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}
