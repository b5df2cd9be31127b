declare <4 x float> @llvm.fmuladd.v4f32(<4 x float>, <4 x float>, <4 x float>)
declare i64 @llvm.smin.i64(i64, i64)

define void @run(ptr noalias %arguments, i64 %part) {
entry:
  %m30 = alloca i64, align 64
  %m65 = alloca i64, align 64
  %m77 = alloca i64, align 64
  %v1 = load i64, ptr %arguments
  %v2 = getelementptr i64, ptr %arguments, i64 1
  %v3 = load i64, ptr %v2
  %v4 = getelementptr i64, ptr %arguments, i64 2
  %v5 = load ptr, ptr %v4
  %v6 = getelementptr i64, ptr %arguments, i64 3
  %v7 = load ptr, ptr %v6
  %v8 = getelementptr i64, ptr %arguments, i64 4
  %v9 = load ptr, ptr %v8
  %v10 = getelementptr i64, ptr %arguments, i64 5
  %v11 = load ptr, ptr %v10
  %v12 = getelementptr i64, ptr %arguments, i64 6
  %v13 = load ptr, ptr %v12
  %v14 = getelementptr i64, ptr %arguments, i64 7
  %v15 = load ptr, ptr %v14
  %v16 = getelementptr i64, ptr %arguments, i64 8
  %v17 = load ptr, ptr %v16
  %v18 = getelementptr i64, ptr %arguments, i64 9
  %v19 = load ptr, ptr %v18
  %v20 = getelementptr i64, ptr %arguments, i64 10
  %v21 = load ptr, ptr %v20
  %v22 = getelementptr i64, ptr %arguments, i64 11
  %v23 = load ptr, ptr %v22
  %v24 = getelementptr i64, ptr %v5, i64 %part
  %v25 = load i64, ptr %v24
  %v26 = add i64 %part, 1
  %v27 = getelementptr i64, ptr %v5, i64 %v26
  %v28 = load i64, ptr %v27
  store i64 0, ptr %m30
  br label %step29
step29:
  %v31 = load i64, ptr %m30
  %v32 = icmp slt i64 %v31, %v1
  br i1 %v32, label %step29.body, label %step29.end
step29.body:
  %v33 = getelementptr i64, ptr %v7, i64 %v31
  %v34 = load i64, ptr %v33
  %v35 = call i64 @llvm.smin.i64(i64 %v28, i64 %v34)
  %v36 = icmp slt i64 %v25, %v35
  br i1 %v36, label %busy37, label %busy37.end
busy37:
  %v38 = mul i64 %v1, 0
  %v39 = add i64 %v38, %v31
  %v40 = getelementptr i64, ptr %v9, i64 %v39
  %v41 = load i64, ptr %v40
  %v42 = mul i64 %v1, 1
  %v43 = add i64 %v42, %v31
  %v44 = getelementptr i64, ptr %v9, i64 %v43
  %v45 = load i64, ptr %v44
  %v46 = mul i64 %v1, 2
  %v47 = add i64 %v46, %v31
  %v48 = getelementptr i64, ptr %v9, i64 %v47
  %v49 = load i64, ptr %v48
  %v50 = mul i64 %v1, 3
  %v51 = add i64 %v50, %v31
  %v52 = getelementptr i64, ptr %v9, i64 %v51
  %v53 = load i64, ptr %v52
  %v54 = mul i64 %v1, 4
  %v55 = add i64 %v54, %v31
  %v56 = getelementptr i64, ptr %v9, i64 %v55
  %v57 = load i64, ptr %v56
  %v58 = add i64 %v45, %v25
  %v59 = mul i64 %v58, 8
  %v60 = getelementptr float, ptr %v21, i64 %v59
  %v61 = mul i64 %v25, 8
  %v62 = getelementptr float, ptr %v19, i64 %v61
  %v63 = sub i64 %v35, %v25
  call void %v11(ptr %v60, i64 8, i64 %v63, ptr %v23, i64 8, i64 2, ptr %v62, i64 8)
  store i64 %v25, ptr %m65
  br label %row64
row64:
  %v66 = load i64, ptr %m65
  %v67 = icmp slt i64 %v66, %v35
  br i1 %v67, label %row64.body, label %row64.end
row64.body:
  %v68 = add i64 %v41, %v66
  %v69 = mul i64 %v68, 8
  %v70 = getelementptr float, ptr %v17, i64 %v69
  %v71 = mul i64 %v66, 8
  %v72 = getelementptr float, ptr %v19, i64 %v71
  %v73 = add i64 %v49, %v66
  %v74 = mul i64 %v73, 8
  %v75 = getelementptr float, ptr %v21, i64 %v74
  store i64 0, ptr %m77
  br label %column76
column76:
  %v78 = load i64, ptr %m77
  %v79 = icmp slt i64 %v78, 8
  br i1 %v79, label %column76.body, label %column76.end
column76.body:
  %v80 = getelementptr float, ptr %v70, i64 %v78
  %v81 = load <4 x float>, ptr %v80, align 4
  %v82 = getelementptr float, ptr %v72, i64 %v78
  %v83 = load <4 x float>, ptr %v82, align 4
  %v84 = fadd <4 x float> %v81, %v83
  %v85 = fcmp olt <4 x float> %v84, splat (float 0xC01F9F09E0000000)
  %v86 = select <4 x i1> %v85, <4 x float> splat (float 0xC01F9F09E0000000), <4 x float> %v84
  %v87 = fcmp ogt <4 x float> %v86, splat (float 0x401F9F09E0000000)
  %v88 = select <4 x i1> %v87, <4 x float> splat (float 0x401F9F09E0000000), <4 x float> %v86
  %v89 = fmul <4 x float> %v88, %v88
  %v90 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0xBCB3E4B800000000), <4 x float> %v89, <4 x float> splat (float 0x3D4C266FC0000000))
  %v91 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v90, <4 x float> %v89, <4 x float> splat (float 0xBDD7A6FFE0000000))
  %v92 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v91, <4 x float> %v89, <4 x float> splat (float 0x3E6B800820000000))
  %v93 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v92, <4 x float> %v89, <4 x float> splat (float 0x3EEF286940000000))
  %v94 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v93, <4 x float> %v89, <4 x float> splat (float 0x3F44E1BDA0000000))
  %v95 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v94, <4 x float> %v89, <4 x float> splat (float 0x3F740B3B80000000))
  %v96 = fmul <4 x float> %v88, %v95
  %v97 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0x3EB41A7B00000000), <4 x float> %v89, <4 x float> splat (float 0x3F1F12BAC0000000))
  %v98 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v97, <4 x float> %v89, <4 x float> splat (float 0x3F629540A0000000))
  %v99 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v98, <4 x float> %v89, <4 x float> splat (float 0x3F740B3BA0000000))
  %v100 = fdiv <4 x float> %v96, %v99
  %v101 = getelementptr float, ptr %v75, i64 %v78
  store <4 x float> %v100, ptr %v101, align 4
  %v102 = add i64 %v78, 4
  store i64 %v102, ptr %m77
  br label %column76
column76.end:
  %v103 = add i64 %v66, 1
  store i64 %v103, ptr %m65
  br label %row64
row64.end:
  br label %busy37.end
busy37.end:
  %v104 = add i64 %v31, 1
  store i64 %v104, ptr %m30
  br label %step29
step29.end:
  ret void
}

define void @join(ptr %arguments) {
entry:
  %m12 = alloca i64, align 64
  %v1 = getelementptr i64, ptr %arguments, i64 6
  %v2 = load ptr, ptr %v1
  %v3 = getelementptr i64, ptr %arguments, i64 7
  %v4 = load ptr, ptr %v3
  %v5 = call i32 %v2()
  %v6 = sext i32 %v5 to i64
  %v7 = call i32 %v4()
  %v8 = sext i32 %v7 to i64
  %v9 = getelementptr i64, ptr %arguments, i64 1
  %v10 = load i64, ptr %v9
  store i64 %v6, ptr %m12
  br label %part11
part11:
  %v13 = load i64, ptr %m12
  %v14 = icmp slt i64 %v13, %v10
  br i1 %v14, label %part11.body, label %part11.end
part11.body:
  call void @run(ptr %arguments, i64 %v13)
  %v15 = add i64 %v13, %v8
  store i64 %v15, ptr %m12
  br label %part11
part11.end:
  ret void
}
