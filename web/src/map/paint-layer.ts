// A canvas that lies on the map and is painted by a function. While the map is dragged the browser moves the finished
// picture; it is painted again only where the drag would show what was not painted, and when it ends.
import * as L from 'leaflet';
import { viewOf, type View } from './mercator';

export type Painter = (context: CanvasRenderingContext2D, view: View) => void;

const MARGIN = 0.3;

export class PaintLayer extends L.Layer {
  readonly #canvas = document.createElement('canvas');
  readonly #paint: Painter;
  readonly #pane: string;
  #corner = L.latLng(0, 0);
  #zoom = 0;
  #frame = 0;

  constructor(pane: string, paint: Painter) {
    super();
    this.#pane = pane;
    this.#paint = paint;
    this.#canvas.className = 'paint leaflet-zoom-animated';
    this.#canvas.setAttribute('aria-hidden', 'true');
  }

  override onAdd(map: L.Map): this {
    map.getPane(this.#pane)?.append(this.#canvas);
    this.redraw();
    return this;
  }

  override onRemove(): this {
    cancelAnimationFrame(this.#frame);
    this.#canvas.remove();
    return this;
  }

  override getEvents(): { [name: string]: L.LeafletEventHandlerFn } {
    return {
      moveend: () => this.redraw(),
      viewreset: () => this.redraw(),
      resize: () => this.redraw(),
      move: () => this.#moved(),
      zoomanim: (event) => this.#zooming(event as L.ZoomAnimEvent),
    };
  }

  /** Paints before the next picture of the screen, however often it is asked. */
  redrawSoon(): void {
    this.#frame ||= requestAnimationFrame(() => this.redraw());
  }

  redraw(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const map = this._map;
    const context = this.#canvas.getContext('2d');
    if (!map || !context) return;
    const size = map.getSize();
    const margin = { x: Math.round(size.x * MARGIN), y: Math.round(size.y * MARGIN) };
    const corner = map.containerPointToLayerPoint([-margin.x, -margin.y]);
    this.#corner = map.layerPointToLatLng(corner);
    this.#zoom = map.getZoom();
    this.#fit(size.x + 2 * margin.x, size.y + 2 * margin.y);
    L.DomUtil.setTransform(this.#canvas, corner, 1);
    const ratio = devicePixelRatio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, size.x + 2 * margin.x, size.y + 2 * margin.y);
    context.translate(margin.x, margin.y);
    this.#paint(context, viewOf(map, margin));
  }

  // A canvas that keeps its size is cleared; to set the size, even to the same, makes a new one.
  #fit(width: number, height: number): void {
    const ratio = devicePixelRatio;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.#canvas.width === wide && this.#canvas.height === high) return;
    Object.assign(this.#canvas, { width: wide, height: high });
    this.#canvas.style.width = `${width}px`;
    this.#canvas.style.height = `${height}px`;
  }

  #moved(): void {
    const map = this._map;
    if (map.getZoom() !== this.#zoom) return;
    const { x, y } = map.latLngToContainerPoint(this.#corner);
    const size = map.getSize();
    if (x > 0 || y > 0 || x < -2 * MARGIN * size.x || y < -2 * MARGIN * size.y) this.redrawSoon();
  }

  #zooming({ center, zoom }: L.ZoomAnimEvent): void {
    const map = this._map;
    const pane = L.DomUtil.getPosition(map.getPane('mapPane') as HTMLElement);
    const origin = map.project(center, zoom).subtract(map.getSize().divideBy(2)).add(pane).round();
    const corner = map.project(this.#corner, zoom).subtract(origin);
    L.DomUtil.setTransform(this.#canvas, corner, map.getZoomScale(zoom, this.#zoom));
  }
}
