/** What is in the user's own data, as the node's loopback answer says it: a few samples, counts, ranges, remarks. */
import { useEffect, useRef } from "preact/hooks";
import type { DataReport, DataSample } from "../live/api";
import { count, plural } from "../text/amounts";
import { Notice, Table } from "./parts";

const MOST_BARS = 12;
const MOST_NAMED = 5;

export function Preview({ report, samples }: { report: DataReport; samples: DataSample[] }) {
  const bars = Object.entries({ "": report.classes, ...report.categories }).filter(
    ([, counts]) => Object.keys(counts).length > 0,
  );
  return (
    <>
      <Remarks report={report} />
      {samples.some(({ picture }) => picture) ? <Pictures samples={samples} /> : <Cells samples={samples} />}
      {bars.length > 0 && (
        <div class="preview">
          {bars.slice(0, MOST_BARS).map(([name, counts]) => (
            <Counts key={name} name={name} counts={counts} />
          ))}
        </div>
      )}
      <Ranges report={report} />
    </>
  );
}

function Remarks({ report }: { report: DataReport }) {
  const named = (names: string[]) =>
    names.slice(0, MOST_NAMED).join(", ") + (names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : "");
  const said = [
    ...Object.entries(report.missing).map(([column, gaps]) => `${column}: ${plural(gaps, "gap")}.`),
    ...(report.dropped ? [`${plural(report.dropped, "sample")} left out.`] : []),
    ...(report.ignored_columns.length
      ? [`Columns that the job does not ask for: ${named(report.ignored_columns)}.`]
      : []),
    ...(report.ignored_files.length ? [`Hidden and system files passed over: ${named(report.ignored_files)}.`] : []),
    ...Object.values(report.bad)
      .slice(0, MOST_NAMED)
      .map((why) => `Left out: ${why}.`),
    ...Object.entries(report.remarks).map(([remark, times]) => `${remark} (${count(times)}).`),
    ...Object.entries(report.ranges)
      .filter(([, range]) => range.unusual)
      .map(([name]) => `${name}: the mean is far from the one that the job states. Is it in another unit?`),
  ];
  if (said.length === 0) return null;
  return (
    <Notice kind="warn">
      <ul>
        {said.map((each) => (
          <li key={each}>{each}</li>
        ))}
      </ul>
    </Notice>
  );
}

function Pictures({ samples }: { samples: DataSample[] }) {
  return (
    <ul class="samples" aria-label="Some of your samples">
      {samples.map(({ picture, cells }, at) => (
        <li key={at}>
          {picture && <Picture {...picture} />}
          <span>{Object.values(cells).at(-1)?.includes(", values ") ? "" : Object.values(cells).at(-1)}</span>
        </li>
      ))}
    </ul>
  );
}

function Cells({ samples }: { samples: DataSample[] }) {
  const head = Object.keys(samples[0]?.cells ?? {});
  if (head.length === 0) return null;
  return (
    <Table label="Some of your samples" head={head} wide>
      {samples.map(({ cells }, at) => (
        <tr key={at}>
          {head.map((name) => (
            <td key={name} class="cell">
              {cells[name]}
            </td>
          ))}
        </tr>
      ))}
    </Table>
  );
}

function Counts({ name, counts }: { name: string; counts: Record<string, number> }) {
  const all = Object.entries(counts);
  const most = Math.max(...Object.values(counts), 1);
  return (
    <div class="classes">
      {name && <p class="muted">{name}</p>}
      <dl aria-label={name ? `Samples by ${name}` : "Samples by class"}>
        {all.slice(0, MOST_BARS).map(([value, number]) => (
          <div key={value}>
            <dt>{value || "none asked"}</dt>
            <dd>
              <span class="part-bar" aria-hidden="true">
                <span style={{ width: `${(100 * number) / most}%` }} />
              </span>
              <span class="number">{count(number)}</span>
            </dd>
          </div>
        ))}
      </dl>
      {all.length > MOST_BARS && <p class="hint">and {count(all.length - MOST_BARS)} more</p>}
    </div>
  );
}

const short = (value: number) => (Math.abs(value) >= 1e30 ? "any" : String(Number(value.toPrecision(5))));

function Ranges({ report }: { report: DataReport }) {
  const ranges = Object.entries(report.ranges);
  if (ranges.length === 0) return null;
  return (
    <Table label="Ranges of your values" head={["Feature", "Here", "Mean", "Allowed"]}>
      {ranges.slice(0, 50).map(([name, range]) => (
        <tr key={name}>
          <td>{name}</td>
          <td class="number">
            {short(range.lowest)} … {short(range.highest)}
          </td>
          <td class="number">{short(range.mean)}</td>
          <td class="number">
            {short(range.minimum)} … {short(range.maximum)}
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Picture({ channels, height, width, pixels }: NonNullable<DataSample["picture"]>) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || pixels.length < channels * height * width) return;
    const shown = context.createImageData(width, height);
    for (let at = 0; at < width * height; at += 1) {
      for (let c = 0; c < 3; c += 1)
        shown.data[at * 4 + c] = pixels[(channels >= 3 ? c : 0) * width * height + at] ?? 0;
      shown.data[at * 4 + 3] = 255;
    }
    context.putImageData(shown, 0, 0);
  }, [pixels, channels, height, width]);
  return <canvas ref={canvas} width={width} height={height} role="img" aria-label="sample" />;
}
