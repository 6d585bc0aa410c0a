/** A few of the user's own samples, drawn in the page from the node's loopback answer. */
import { useEffect, useRef } from "preact/hooks";
import type { DataCheck } from "../live/api";
import { count } from "../text/amounts";

export function Preview({ found, shape }: { found: DataCheck; shape: number[] }) {
  const image = shape.length === 3;
  const most = Math.max(...Object.values(found.classes), 1);
  return (
    <div class="preview">
      <ul class="samples" aria-label="Some of your samples">
        {found.preview.map((sample, at) => (
          <li key={at}>
            {image ? (
              <Picture values={sample.values} shape={shape} />
            ) : (
              <code>
                {sample.values
                  .slice(0, 6)
                  .map((v) => v.toPrecision(3))
                  .join(", ")}
                …
              </code>
            )}
            <span>{sample.label}</span>
          </li>
        ))}
      </ul>
      <dl class="classes" aria-label="Samples by class">
        {Object.entries(found.classes).map(([name, number]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <span class="part-bar" aria-hidden="true">
                <span style={{ width: `${(100 * number) / most}%` }} />
              </span>
              <span class="number">{count(number)}</span>
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Picture({ values, shape }: { values: number[]; shape: number[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [channels = 1, height = 1, width = 1] = shape;
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || values.length < channels * height * width) return;
    const low = Math.min(...values);
    const span = Math.max(...values) - low || 1;
    const pixels = context.createImageData(width, height);
    for (let at = 0; at < width * height; at += 1) {
      for (let c = 0; c < 3; c += 1) {
        const value = values[(channels >= 3 ? c : 0) * width * height + at] ?? low;
        pixels.data[at * 4 + c] = Math.round((255 * (value - low)) / span);
      }
      pixels.data[at * 4 + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
  }, [values, channels, height, width]);
  return <canvas ref={canvas} width={width} height={height} role="img" aria-label="sample" />;
}
