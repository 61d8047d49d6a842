"""Rules of the pages that a live figure is shown on, as far as they meet what a figure is made of.

JupyterLab's and Notebook 7's (they share the output area) are those of jupyterlab 4.6, of which
``test_jupyterlab.py`` opens a real one. Colab's output frame and the classic notebook carry
Bootstrap's rules for bare elements and those of ``.rendered_html``. A page's order of style sheets
is its own: here the rules come last, where they win every tie.
"""

JUPYTERLAB = """
.jp-OutputArea-output dl, .jp-OutputArea-output dt, .jp-OutputArea-output dd { display: block; }
.jp-OutputArea-output dl { width: 100%; overflow: hidden; padding: 0; margin: 0; }
.jp-OutputArea-output dt { font-weight: bold; float: left; width: 20%; padding: 0; margin: 0; }
.jp-OutputArea-output dd { float: left; width: 80%; padding: 0; margin: 0; }
.jp-OutputArea-output.jp-RenderedHTMLCommon table { margin-left: 0; margin-right: 0; }
.jp-RenderedHTMLCommon { line-height: 1.7; overflow-wrap: break-word; white-space: pre-wrap; }
.jp-RenderedHTMLCommon p { text-align: left; margin: 0; margin-bottom: 1em; }
.jp-RenderedHTMLCommon table { border-collapse: collapse; border-spacing: 0; border: none;
  font-size: 13px; table-layout: fixed; margin-left: auto; margin-bottom: 1em; margin-right: auto; }
.jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th, .jp-RenderedHTMLCommon tr {
  vertical-align: middle; padding: .5em; line-height: normal; max-width: none; border: none; }
:not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon td,
:not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon th { text-align: right; }
.jp-RenderedHTMLCommon tbody tr:nth-child(odd) { background: #eee; }
.jupyter-widgets input[type=range], .widget-subarea button { width: 148px; margin: 2px; }
"""

COLAB = """
* { box-sizing: border-box; }
body { font: 14px/1.42857143 sans-serif; }
.rendered_html { text-align: justify; letter-spacing: .02em; }
dl, .rendered_html dl { margin-top: 0; margin-bottom: 20px; }
dt, dd { line-height: 1.42857143; }
dt { font-weight: bold; }
dd { margin-left: 0; }
@media (min-width: 541px) { .dl-horizontal dt, .rendered_html dt { float: left; width: 160px;
  clear: left; text-align: right; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .dl-horizontal dd, .rendered_html dd { margin-left: 180px; } }
p, .rendered_html p { margin: 0 0 10px; text-align: left; }
label { display: inline-block; max-width: 100%; margin-bottom: 5px; font-weight: bold; }
fieldset { padding: 0; margin: 0; border: 0; min-width: 0; }
legend { display: block; width: 100%; padding: 0; margin-bottom: 18px; font-size: 19.5px;
  border-bottom: 1px solid #e5e5e5; }
figure { margin: 0; }
canvas, img { display: inline-block; vertical-align: middle; max-width: 100%; height: auto; }
button, input, select { font-family: inherit; font-size: inherit; line-height: inherit;
  text-transform: uppercase; }
input[type=range] { display: block; width: 50%; }
input[type=checkbox] { margin: 4px 0 0; line-height: normal; }
table, .rendered_html table { background: #fafafa; border-spacing: 0; table-layout: fixed; }
th, td, .rendered_html td { text-align: right; padding: .5em; border: 1px solid #000; }
"""

HOSTS = {
    "JupyterLab": (JUPYTERLAB, "jp-OutputArea-output jp-RenderedHTMLCommon jupyter-widgets"),
    "Colab": (COLAB, "output_subarea rendered_html"),
}
