// Chart.js as two symbols: treadle_chart_js_begin .. treadle_chart_js_end, then one zero byte.
// .incbin takes the file as it is; the assembler needs no generated C array of 200,000 numbers.
        .section .rodata
        .global treadle_chart_js_begin
        .global treadle_chart_js_end
treadle_chart_js_begin:
        .incbin TREADLE_CHART_JS
treadle_chart_js_end:
        .byte 0
        .section .note.GNU-stack, "", %progbits
